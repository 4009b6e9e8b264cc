//! Whether the recent tier is what it should be, by what it and the truth say.

use std::{collections::HashMap, fmt};

use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    outbox::{Outbox, Standing},
    recent::Sight,
};

/// Why the recent tier is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// No server has begun to keep it.
    NeverBegun,
    /// It was given up: something has happened of which nobody knows what it was.
    GivenUp,
    /// It belongs to another epoch than the truth says, or to none.
    OtherEpoch,
    /// It was filled from another truth.
    OtherTruth,
    /// It was set back.
    TierSetBack,
    /// The truth was set back.
    TruthSetBack,
}

impl Doubt {
    /// Judges what was seen of the tier after the truth was asked. None where they know each other,
    /// and neither was set back.
    ///
    /// # Errors
    /// Where the truth cannot be asked again.
    pub async fn of(
        outbox: &dyn Outbox,
        standing: &Standing,
        sight: &Sight,
    ) -> Result<Option<Self>> {
        let doubt = Self::at_first(standing, sight);
        if doubt != Some(Self::TruthSetBack) {
            return Ok(doubt);
        }
        // Others may have gone on between the two looks.
        let now = outbox.standing().await?;
        let is_so = now.epoch != standing.epoch || is_behind(&now, sight);
        Ok(doubt.filter(|_| is_so))
    }

    fn at_first(standing: &Standing, sight: &Sight) -> Option<Self> {
        Some(if standing.epoch == Epoch::NONE {
            Self::NeverBegun
        } else if !standing.is_sound {
            Self::GivenUp
        } else if sight.epoch != Some(standing.epoch) {
            Self::OtherEpoch
        } else if sight.truth.as_ref() != Some(&standing.identity) {
            Self::OtherTruth
        } else if lacks(&sight.marks, &standing.marks, 0) {
            Self::TierSetBack
        } else if is_behind(standing, sight) {
            Self::TruthSetBack
        } else {
            return None;
        })
    }
}

/// Whether the truth has lower marks than those that the tier may be ahead by.
fn is_behind(standing: &Standing, sight: &Sight) -> bool {
    lacks(&standing.marks, &sight.marks, 1)
}

/// Whether some mark is lower, by more than so much, than it is elsewhere.
fn lacks(marks: &HashMap<Id, i64>, others: &HashMap<Id, i64>, by: i64) -> bool {
    let mark_of = |process: &Id| marks.get(process).copied().unwrap_or(0);
    let mut others = others.iter();
    others.any(|(process, mark)| mark_of(process) + by < *mark)
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverBegun => "no server has begun to keep it",
            Self::GivenUp => {
                "it is to begin anew: nobody has kept it for an hour, tables were rewritten, or \
                 more was written by others than could be noted"
            }
            Self::OtherEpoch => "MongoDB belongs to another epoch, or to none yet",
            Self::OtherTruth => "MongoDB was filled from another database",
            Self::TierSetBack => "MongoDB was set back",
            Self::TruthSetBack => "the database was set back",
        })
    }
}

#[cfg(test)]
mod tests {
    use nubo_core::time::Timestamp;

    use super::*;

    const EPOCH: Epoch = Epoch {
        number: 2,
        nonce: 7,
    };

    fn marks(mark: i64) -> HashMap<Id, i64> {
        HashMap::from([(Id::NIL, mark)])
    }

    fn standing() -> Standing {
        Standing {
            epoch: EPOCH,
            identity: "this one".into(),
            is_sound: true,
            marks: marks(3),
            covered: HashMap::new(),
            notes: 0,
            oldest: 0,
            now: Timestamp::from_millis(0),
        }
    }

    fn sight() -> Sight {
        Sight {
            epoch: Some(EPOCH),
            truth: Some("this one".into()),
            marks: marks(3),
            ..Sight::default()
        }
    }

    #[test]
    fn the_truth_has_its_reasons() {
        let doubt = |change: fn(&mut Standing)| {
            let mut standing = standing();
            change(&mut standing);
            Doubt::at_first(&standing, &sight())
        };
        assert_eq!(doubt(|_| {}), None);
        let never = doubt(|standing| standing.epoch = Epoch::NONE);
        assert_eq!(never, Some(Doubt::NeverBegun));
        let given_up = doubt(|standing| standing.is_sound = false);
        assert_eq!(given_up, Some(Doubt::GivenUp));
    }

    #[test]
    fn so_has_what_is_seen_of_the_tier() {
        let doubt = |change: fn(&mut Sight)| {
            let mut sight = sight();
            change(&mut sight);
            Doubt::at_first(&standing(), &sight)
        };
        assert_eq!(doubt(|sight| sight.epoch = None), Some(Doubt::OtherEpoch));
        assert_eq!(doubt(|sight| sight.truth = None), Some(Doubt::OtherTruth));
        let set_back = Some(Doubt::TierSetBack);
        assert_eq!(doubt(|sight| sight.marks.clear()), set_back);
        assert_eq!(doubt(|sight| sight.marks = marks(2)), set_back);
        // The truth notes it after the tier.
        assert_eq!(doubt(|sight| sight.marks = marks(4)), None);
        let set_back = Some(Doubt::TruthSetBack);
        assert_eq!(doubt(|sight| sight.marks = marks(5)), set_back);
    }
}
