//! Judges what was not there: a list misses a document only where that may have been out of it for a
//! moment while the list was made, and a read finds nothing only where it may have been deleted.
//!
//! Somebody must have put it out: a write that began before the look ended, and after which nobody
//! had put it in again, or seen it there, before the look began. What is in a list is a sight of the
//! document like any other, which [`crate::register`] judges.

use crate::register::{Moment, Outcome, Story, Version, Zone};

/// What is known of one document, in the order in which it began.
pub struct Presence {
    known: Vec<Known>,
    /// Writes that may be carried out at any time.
    open: Vec<Known>,
    /// Where a version was there throughout.
    forward: Vec<Zone>,
    /// The longest that anything took.
    longest: Moment,
}

/// A write, or a sight of a version.
#[derive(Debug, Clone, Copy)]
struct Known {
    called: Moment,
    returned: Moment,
    version: Option<Version>,
    is_write: bool,
}

impl Presence {
    /// Of a document whose story has been judged.
    pub fn of(story: &Story) -> Result<Self, String> {
        let mut known = Vec::new();
        let mut open = Vec::new();
        for write in &story.writes {
            let entry = Known {
                called: write.called,
                returned: write.returned,
                version: write.leaves,
                is_write: true,
            };
            match write.outcome {
                Outcome::Done => known.push(entry),
                Outcome::Refused => {}
                Outcome::Unknown => open.push(entry),
            }
        }
        for sight in &story.sights {
            if let Some((version, _)) = sight.found {
                known.push(Known {
                    called: sight.called,
                    returned: sight.returned,
                    version: Some(version),
                    is_write: false,
                });
            }
        }
        // What was seen had been carried out by then.
        for entry in &mut open {
            let seen = known.iter().filter(|other| other.version == entry.version);
            let seen = seen.filter(|other| other.version.is_some() && !other.is_write);
            entry.returned = seen
                .map(|other| other.returned)
                .min()
                .unwrap_or(Moment::MAX);
        }
        known.sort_by_key(|entry| entry.called);
        let took = known.iter().map(|entry| entry.returned - entry.called);
        let longest = took.max().unwrap_or(0);
        let mut forward = story.zones()?;
        forward.retain(|zone| zone.is_forward() && zone.version.is_some());
        forward.sort_by_key(|zone| zone.first_end);
        Ok(Self {
            known,
            open,
            forward,
            longest,
        })
    }

    /// Judges a look that did not find it where what belongs is found.
    ///
    /// # Errors
    /// Why it must have been there.
    pub fn judge_absence(
        &self,
        called: Moment,
        returned: Moment,
        belongs: impl Fn(&Version) -> bool,
    ) -> Result<(), String> {
        let place = self.forward.partition_point(|zone| zone.first_end < called);
        if let Some(zone) = place.checked_sub(1).map(|place| &self.forward[place])
            && returned < zone.last_begin
            && zone.version.is_some_and(|version| belongs(&version))
        {
            return Err(format!("missed from {called} to {returned}: {zone:?}"));
        }
        let is_in = |entry: &Known| entry.version.is_some_and(|version| belongs(&version));
        // The latest beginning of something before the look that had it in.
        let mut evidence: Option<&Known> = None;
        let begun = self.known.partition_point(|entry| entry.called < returned);
        for entry in self.known[..begun].iter().rev() {
            let since = evidence.map_or(0, |known| known.called);
            if entry.called.saturating_add(self.longest) < since {
                break;
            }
            if entry.is_write && !is_in(entry) && entry.returned >= since {
                return Ok(());
            }
            if evidence.is_none() && is_in(entry) && entry.returned < called {
                evidence = Some(entry);
            }
        }
        let Some(evidence) = evidence else {
            return Ok(());
        };
        let may_be_out = |entry: &Known| {
            entry.called < returned && entry.returned >= evidence.called && !is_in(entry)
        };
        match self.open.iter().any(may_be_out) {
            true => Ok(()),
            false => Err(format!(
                "missed from {called} to {returned}, and nobody put it out since {evidence:?}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::{Sight, Write};

    fn on(value: u64, shelf: u64) -> Version {
        Version {
            value,
            shelf,
            rank: value,
        }
    }

    fn write(leaves: Option<Version>, called: Moment, returned: Moment) -> Write {
        Write {
            leaves,
            outcome: Outcome::Done,
            called,
            returned,
        }
    }

    fn unknown(leaves: Option<Version>, called: Moment) -> Write {
        Write {
            outcome: Outcome::Unknown,
            ..write(leaves, called, called + 1)
        }
    }

    fn seen(version: Version, called: Moment, returned: Moment) -> Sight {
        Sight {
            found: Some((version, version.value)),
            by: "",
            called,
            returned,
        }
    }

    /// Whether the first shelf may be without it.
    fn may_miss(writes: &[Write], sights: &[Sight], called: Moment, returned: Moment) -> bool {
        let (writes, sights) = (writes.to_vec(), sights.to_vec());
        let presence = Presence::of(&Story { writes, sights }).unwrap();
        let judged = presence.judge_absence(called, returned, |version| version.shelf == 1);
        judged.is_ok()
    }

    #[test]
    fn what_was_there_throughout_is_missed() {
        let writes = [write(Some(on(1, 1)), 0, 10)];
        assert!(!may_miss(&writes, &[], 20, 30));
        // Until it was written it was not there.
        assert!(may_miss(&writes, &[], 5, 30));
        // Another version, but on the same shelf.
        let writes = [write(Some(on(1, 1)), 0, 10), write(Some(on(2, 1)), 20, 40)];
        assert!(!may_miss(&writes, &[], 15, 30));
        assert!(!may_miss(&writes, &[], 50, 60));
        // It came back before.
        let writes = [
            write(Some(on(1, 1)), 0, 10),
            write(None, 20, 30),
            write(Some(on(2, 1)), 40, 50),
        ];
        assert!(may_miss(&writes, &[], 45, 60));
        assert!(!may_miss(&writes, &[], 51, 60));
    }

    #[test]
    fn what_may_have_left_may_be_missed() {
        let writes = [write(Some(on(1, 1)), 0, 10), write(Some(on(2, 2)), 20, 40)];
        assert!(may_miss(&writes, &[], 15, 30));
        assert!(may_miss(&writes, &[], 50, 60));
        assert!(!may_miss(&writes, &[], 11, 19));
        // Written beside each other: nobody knows which was last.
        let writes = [write(Some(on(1, 1)), 0, 10), write(Some(on(2, 2)), 5, 15)];
        assert!(may_miss(&writes, &[], 50, 60));
        // Now somebody does.
        assert!(!may_miss(&writes, &[seen(on(1, 1), 20, 25)], 50, 60));
        assert!(may_miss(&writes, &[seen(on(2, 2), 20, 25)], 50, 60));
    }

    #[test]
    fn what_nobody_knows_of_may_have_put_it_out() {
        let first = write(Some(on(1, 1)), 0, 10);
        let writes = [first, unknown(None, 20)];
        assert!(may_miss(&writes, &[], 50, 60));
        assert!(!may_miss(&writes, &[], 11, 19));
        // Not where it was there before and after.
        assert!(!may_miss(&writes, &[seen(on(1, 1), 70, 80)], 50, 60));
        // What was seen was carried out by then; and somebody has put it back since.
        let writes = [
            first,
            unknown(Some(on(2, 2)), 20),
            write(Some(on(3, 1)), 50, 60),
        ];
        assert!(!may_miss(&writes, &[seen(on(2, 2), 30, 40)], 70, 80));
        assert!(may_miss(&writes, &[], 70, 80));
    }
}
