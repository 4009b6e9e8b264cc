//! Judges what was seen of one document: whether there is an order of all writes and reads, each at
//! some moment between request and answer, in which every read gives what was written last.
//!
//! Each value is written once, so that a read tells which write it saw. Then that order exists just
//! where the *zones* of the values allow it: the zone of a value lies between the first end and the
//! last beginning of what deals with it. Where that end comes first, the value was there throughout
//! (a *forward* zone), and no two of those may overlap; otherwise everything that deals with it may
//! fall together (a *backward* zone), and none of those may lie within a forward one.
//!
//! Phillip B. Gibbons and Ephraim Korach, Testing Shared Memories, SIAM Journal on Computing 26(4),
//! 1997, <https://doi.org/10.1137/S0097539794279614>.
//!
//! That a document is gone is written by many and looks always the same. Each deletion, and each
//! look that finds nothing, counts as a value of its own; that nothing is found only where somebody
//! may have deleted it is for [`crate::membership`] to judge.

use std::collections::HashMap;

/// Nanoseconds since the history began.
pub type Moment = u64;

/// What one write makes of a document. No two write the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    pub value: u64,
    pub shelf: u64,
    pub rank: u64,
}

/// What the writer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It was not carried out, and never will be.
    Refused,
    /// It may be carried out at any time, or never.
    Unknown,
}

/// A write.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    /// None where it deletes.
    pub leaves: Option<Version>,
    pub outcome: Outcome,
    pub called: Moment,
    pub returned: Moment,
}

/// What somebody saw.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// None where there was nothing; else the version and its revision.
    pub found: Option<(Version, u64)>,
    /// Who said so, for those who look into it.
    pub by: &'static str,
    pub called: Moment,
    pub returned: Moment,
}

/// Everything that happened to one document.
#[derive(Debug, Default, Clone)]
pub struct Story {
    pub writes: Vec<Write>,
    pub sights: Vec<Sight>,
}

/// Where a value was there, or may have been.
#[derive(Debug, Clone, Copy)]
pub struct Zone {
    /// The first end of what deals with it.
    pub first_end: Moment,
    /// The last beginning.
    pub last_begin: Moment,
    /// None for what is gone.
    pub version: Option<Version>,
}

impl Zone {
    const fn new(version: Option<Version>, called: Moment, returned: Moment) -> Self {
        Self {
            first_end: returned,
            last_begin: called,
            version,
        }
    }

    fn take(&mut self, called: Moment, returned: Moment) {
        self.first_end = self.first_end.min(returned);
        self.last_begin = self.last_begin.max(called);
    }

    /// Whether the value was there from the first end to the last beginning.
    pub const fn is_forward(&self) -> bool {
        self.first_end < self.last_begin
    }
}

impl Story {
    /// The zones of all values that were seen or acknowledged.
    ///
    /// # Errors
    /// What was seen that nobody can have written.
    pub fn zones(&self) -> Result<Vec<Zone>, String> {
        let mut zones = Vec::new();
        let mut values: HashMap<u64, (Zone, &Write, bool)> = HashMap::new();
        for write in &self.writes {
            let returned = match write.outcome {
                Outcome::Done => write.returned,
                Outcome::Refused | Outcome::Unknown => Moment::MAX,
            };
            let zone = Zone::new(write.leaves, write.called, returned);
            let is_done = write.outcome == Outcome::Done;
            match write.leaves {
                Some(version) => {
                    let other = values.insert(version.value, (zone, write, is_done));
                    assert!(other.is_none(), "{version:?} was written twice");
                }
                None if is_done => zones.push(zone),
                // Nothing speaks for it, and nothing against it.
                None => {}
            }
        }
        for sight in &self.sights {
            let Some((version, _)) = sight.found else {
                zones.push(Zone::new(None, sight.called, sight.returned));
                continue;
            };
            let Some((zone, write, counts)) = values.get_mut(&version.value) else {
                return Err(format!("nobody wrote what was seen: {sight:?}"));
            };
            if write.leaves != Some(version) {
                return Err(format!("{write:?} was seen as something else: {sight:?}"));
            }
            if write.outcome == Outcome::Refused {
                return Err(format!("{write:?} was refused and seen: {sight:?}"));
            }
            if sight.returned < write.called {
                return Err(format!("{write:?} was seen before it was made: {sight:?}"));
            }
            zone.take(sight.called, sight.returned);
            *counts = true;
        }
        let counted = values.into_values().filter(|(_, _, counts)| *counts);
        zones.extend(counted.map(|(zone, _, _)| zone));
        Ok(zones)
    }

    /// Judges the document.
    ///
    /// # Errors
    /// What cannot be.
    pub fn judge(&self) -> Result<(), String> {
        let (mut forward, backward): (Vec<Zone>, Vec<Zone>) =
            self.zones()?.into_iter().partition(Zone::is_forward);
        forward.sort_by_key(|zone| zone.first_end);
        for pair in forward.windows(2) {
            if pair[1].first_end < pair[0].last_begin {
                return Err(format!("both were there at once: {pair:?}"));
            }
        }
        for zone in backward {
            // They do not overlap: the last that begins before is the only one it can lie in.
            let place = forward.partition_point(|around| around.first_end < zone.last_begin);
            if let Some(around) = place.checked_sub(1).map(|place| &forward[place])
                && zone.first_end < around.last_begin
            {
                return Err(format!(
                    "{zone:?} lies within {around:?}:\n{}",
                    self.between(around.first_end, around.last_begin)
                ));
            }
        }
        self.judge_revisions()
    }

    /// What was done and seen in a time, in the order in which it began.
    fn between(&self, from: Moment, to: Moment) -> String {
        let within = |called: Moment, returned: Moment| called <= to && returned >= from;
        let writes = self
            .writes
            .iter()
            .filter(|it| within(it.called, it.returned));
        let sights = self
            .sights
            .iter()
            .filter(|it| within(it.called, it.returned));
        let mut lines: Vec<(Moment, String)> = writes
            .map(|write| (write.called, format!("{write:?}")))
            .chain(sights.map(|sight| (sight.called, format!("{sight:?} by {}", sight.by))))
            .collect();
        lines.sort();
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        lines.join("\n")
    }

    /// Who begins after somebody else has ended sees no earlier revision, and one revision is one
    /// version.
    fn judge_revisions(&self) -> Result<(), String> {
        let found = |sight: &Sight| sight.found.map(|found| (*sight, found));
        let mut sights: Vec<_> = self.sights.iter().filter_map(found).collect();
        let mut versions = HashMap::new();
        for (sight, (version, revision)) in &sights {
            let known = versions.entry(revision).or_insert(version);
            if *known != version {
                return Err(format!("{sight:?} has the revision of {known:?}"));
            }
        }
        let mut by_end = sights.clone();
        by_end.sort_by_key(|(sight, _)| sight.returned);
        sights.sort_by_key(|(sight, _)| sight.called);
        let mut ended = by_end.into_iter().peekable();
        let mut newest: Option<(Sight, u64)> = None;
        for (sight, (_, revision)) in sights {
            while let Some((before, (_, seen))) =
                ended.next_if(|(before, _)| before.returned < sight.called)
            {
                if newest.is_none_or(|(_, newest)| newest < seen) {
                    newest = Some((before, seen));
                }
            }
            if let Some((before, seen)) = newest
                && revision < seen
            {
                return Err(format!("{sight:?} is older than {before:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(value: u64) -> Version {
        Version {
            value,
            shelf: 0,
            rank: 0,
        }
    }

    fn write(leaves: Option<u64>, called: Moment, returned: Moment) -> Write {
        Write {
            leaves: leaves.map(version),
            outcome: Outcome::Done,
            called,
            returned,
        }
    }

    fn unknown(value: u64, called: Moment, returned: Moment) -> Write {
        Write {
            outcome: Outcome::Unknown,
            ..write(Some(value), called, returned)
        }
    }

    fn sight(found: Option<u64>, called: Moment, returned: Moment) -> Sight {
        Sight {
            // Revisions are tested by themselves.
            found: found.map(|value| (version(value), 1000 + value)),
            by: "",
            called,
            returned,
        }
    }

    fn judge(writes: &[Write], sights: &[Sight]) -> Result<(), String> {
        let (writes, sights) = (writes.to_vec(), sights.to_vec());
        Story { writes, sights }.judge()
    }

    #[test]
    fn what_may_have_been_is_let_through() {
        // One after the other, and beside each other.
        judge(
            &[write(Some(1), 0, 10), write(Some(2), 20, 30)],
            &[
                sight(Some(1), 11, 25),
                sight(Some(2), 21, 22),
                sight(Some(2), 40, 50),
            ],
        )
        .unwrap();
        // Who reads while it is written may see it or not.
        judge(
            &[write(Some(1), 0, 10), write(Some(2), 20, 60)],
            &[sight(Some(1), 30, 40), sight(Some(2), 41, 50)],
        )
        .unwrap();
        // Nobody knew, and much later it is there; or never.
        judge(
            &[
                write(Some(1), 0, 10),
                unknown(2, 20, 30),
                unknown(3, 20, 30),
            ],
            &[sight(Some(1), 100, 110), sight(Some(2), 200, 210)],
        )
        .unwrap();
        judge(
            &[
                write(Some(1), 0, 10),
                write(None, 20, 30),
                write(Some(2), 40, 50),
            ],
            &[
                sight(None, 25, 35),
                sight(None, 31, 45),
                sight(Some(2), 51, 52),
            ],
        )
        .unwrap();
    }

    #[track_caller]
    fn refused(writes: &[Write], sights: &[Sight], why: &str) {
        let error = judge(writes, sights).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn what_is_old_is_found() {
        let writes = [write(Some(1), 0, 10), write(Some(2), 20, 30)];
        refused(&writes, &[sight(Some(1), 31, 40)], "lies within");
        // Both were seen, the older one last.
        let writes = [write(Some(1), 0, 10), write(Some(2), 20, 60)];
        let sights = [sight(Some(2), 30, 35), sight(Some(1), 36, 40)];
        refused(&writes, &sights, "lies within");
        // Two take turns.
        let writes = [write(Some(1), 0, 10), write(Some(2), 0, 10)];
        let turns = [(1, 20), (2, 30), (1, 40), (2, 50)];
        let sights = turns.map(|(value, at)| sight(Some(value), at, at + 5));
        refused(&writes, &sights, "at once");
    }

    #[test]
    fn what_is_lost_is_found() {
        let writes = [write(Some(1), 0, 10), write(Some(2), 20, 30)];
        refused(&writes, &[sight(Some(1), 100, 110)], "lies within");
        // A deletion that is undone, and a document that is gone for a while.
        let writes = [write(Some(1), 0, 10), write(None, 20, 30)];
        refused(&writes, &[sight(Some(1), 31, 40)], "lies within");
        let sights = [sight(None, 20, 30), sight(Some(1), 40, 50)];
        refused(&[write(Some(1), 0, 10)], &sights, "lies within");
    }

    #[test]
    fn what_cannot_have_been_written_is_found() {
        refused(&[], &[sight(Some(1), 0, 10)], "nobody wrote");
        refused(
            &[write(Some(1), 20, 30)],
            &[sight(Some(1), 0, 10)],
            "before it was made",
        );
        let no = Write {
            outcome: Outcome::Refused,
            ..write(Some(1), 0, 10)
        };
        refused(&[no], &[sight(Some(1), 20, 30)], "refused and seen");
        let mut other = sight(Some(1), 20, 30);
        other.found.as_mut().unwrap().0.shelf = 7;
        refused(&[write(Some(1), 0, 10)], &[other], "something else");
    }

    #[test]
    fn revisions_go_up_and_are_what_they_were() {
        let writes = [write(Some(1), 0, 100), write(Some(2), 0, 100)];
        let seen = |value, revision, called| Sight {
            found: Some((version(value), revision)),
            ..sight(None, called, called + 5)
        };
        judge(&writes, &[seen(1, 7, 10), seen(2, 8, 20)]).unwrap();
        refused(&writes, &[seen(1, 8, 10), seen(2, 7, 20)], "older than");
        refused(
            &writes,
            &[seen(1, 7, 10), seen(2, 7, 20)],
            "the revision of",
        );
    }
}
