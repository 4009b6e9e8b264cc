//! Numbers that look random and are the same for the same seed.

/// xorshift64*: Sebastiano Vigna, An experimental exploration of Marsaglia's xorshift generators,
/// scrambled, ACM Transactions on Mathematical Software 42(4), 2016,
/// <https://doi.org/10.1145/2845077>.
pub struct Dice(u64);

impl Dice {
    /// Different ones for each part of a seed.
    pub fn new(seed: u64, part: u64) -> Self {
        let mixed = (seed ^ part.rotate_left(32)).wrapping_add(1);
        let mut dice = Self(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Seeds that resemble each other do not yet differ much.
        for _ in 0..8 {
            dice.below(2);
        }
        dice
    }

    /// One of so many numbers from zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    /// One of some.
    pub fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u64) as usize]
    }
}
