//! What a document is called, and which version of it is meant.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::time::Timestamp;

/// The id of a document: a UUID. Written in lower case with hyphens, which sorts as its bytes do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Uuid);

impl Id {
    /// Nobody's.
    pub const NIL: Self = Self(Uuid::nil());

    /// The id that is this UUID.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// When the id was made, by the clock of who made it. Only a UUID of version 7 says so.
    pub fn made_at(self) -> Option<Timestamp> {
        let [a, b, c, d, e, f, ..] = *self.0.as_bytes();
        let millis = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        (self.0.get_version_num() == 7).then(|| Timestamp::from_millis(millis))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = NotAnId;

    /// Only the hyphenated form of 36 characters, so that one id has one spelling but for case.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 36 {
            return Err(NotAnId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)
    }
}

/// The text is no UUID in its hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a UUID such as 0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11")]
pub struct NotAnId;

/// Orders the versions of one document, and nothing else.
///
/// Given by the truth when it writes: the larger of the old revision plus one and its clock in
/// microseconds, so that it grows even where the clock does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(i64);

impl Revision {
    /// The revision with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Its number: microseconds since 1970, as a rule.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The revision of a version written now, over `self`.
    pub const fn next(self, now_micros: i64) -> Self {
        let successor = self.0.saturating_add(1);
        Self(if successor > now_micros {
            successor
        } else {
            now_micros
        })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_per_id() {
        assert!("0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11".parse::<Id>().is_ok());
        assert!("0190f5f68a6c7f2a9c3e2f1d8f0f7a11".parse::<Id>().is_err());
        assert!(
            "{0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a1}"
                .parse::<Id>()
                .is_err()
        );
        assert!("".parse::<Id>().is_err());
    }

    #[test]
    fn revisions_grow_when_the_clock_does_not() {
        assert_eq!(Revision::new(10).next(5), Revision::new(11));
        assert_eq!(Revision::new(10).next(50), Revision::new(50));
    }
}
