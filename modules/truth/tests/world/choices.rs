//! A stream of choices from which everything else is made, so that proptest can shrink it: fewer
//! and smaller numbers make simpler things.

/// What is left of the stream. Where it has ended every choice is the first.
pub struct Choices<'a>(std::slice::Iter<'a, u32>);

impl<'a> Choices<'a> {
    pub fn new(numbers: &'a [u32]) -> Self {
        Self(numbers.iter())
    }

    pub fn number(&mut self) -> u32 {
        self.0.next().copied().unwrap_or(0)
    }

    pub fn long(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.number() as usize % bound
    }

    /// True about once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// So many things, at most.
    pub fn several<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }
}
