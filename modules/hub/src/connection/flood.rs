//! How many messages a client may send: a token bucket.

/// Grants so many messages a second, for a moment twice as many.
pub(super) struct Flood {
    /// Messages that may come now, in millionths.
    credit: i64,
    rate: i64,
    /// When the credit was last counted, in microseconds.
    counted: i64,
    /// Refusals since the last message that was granted.
    refused: i64,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Grant {
    Granted,
    /// Too many.
    Refused,
    /// Too many, and no end to it.
    Hopeless,
}

impl Flood {
    pub fn new(per_second: u32, now: i64) -> Self {
        let rate = i64::from(per_second);
        Self {
            credit: 2 * rate * 1_000_000,
            rate,
            counted: now,
            refused: 0,
        }
    }

    /// Whether a message that comes now is granted.
    pub fn ask(&mut self, now: i64) -> Grant {
        // The clock may have been set back.
        let passed = (now - self.counted).clamp(0, 2_000_000);
        self.counted = now;
        self.credit = (self.credit + passed * self.rate).min(2 * self.rate * 1_000_000);
        if self.credit >= 1_000_000 {
            self.credit -= 1_000_000;
            self.refused = 0;
            return Grant::Granted;
        }
        self.refused += 1;
        match self.refused > 2 * self.rate {
            true => Grant::Hopeless,
            false => Grant::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_granted_and_then_so_many_a_second() {
        let mut flood = Flood::new(10, 0);
        let mut at = |now| flood.ask(now);
        for _ in 0..20 {
            assert_eq!(at(0), Grant::Granted);
        }
        assert_eq!(at(0), Grant::Refused);
        assert_eq!(at(99_999), Grant::Refused);
        assert_eq!(at(200_000), Grant::Granted);
        assert_eq!(at(200_000), Grant::Granted);
        assert_eq!(at(200_000), Grant::Refused);
        // The clock goes back and gives nothing away.
        assert_eq!(at(0), Grant::Refused);
    }

    #[test]
    fn who_goes_on_is_hopeless() {
        let mut flood = Flood::new(1, 0);
        let grants: Vec<_> = (0..5).map(|_| flood.ask(0)).collect();
        assert_eq!(
            grants,
            [
                Grant::Granted,
                Grant::Granted,
                Grant::Refused,
                Grant::Refused,
                Grant::Hopeless
            ]
        );
    }
}
