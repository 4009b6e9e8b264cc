//! What became of the rows, for the person who imports them.

use std::{
    io::{self, Write},
    time::Duration,
};

use nubo_core::{Error, id::Revision, write::Outcome};

use super::super::causes::with_causes;

/// How many rejected rows are shown; of the others only the number is.
const SHOWN: usize = 50;

/// Counts rows and keeps the reasons why some were rejected.
#[derive(Debug, Default)]
pub struct Report {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub rejected: u64,
    reasons: Vec<(usize, String)>,
}

impl Report {
    /// A row is rejected.
    pub fn reject(&mut self, line: usize, reason: String) {
        self.rejected += 1;
        if self.reasons.len() < SHOWN {
            self.reasons.push((line, reason));
        }
    }

    /// A row is stored; `before` is the revision of the document that was there.
    pub fn count(&mut self, outcome: &Outcome, before: Option<Revision>) {
        match (outcome, before) {
            (Outcome::Updated(document), Some(before)) if document.revision() == before => {
                self.unchanged += 1;
            }
            (Outcome::Updated(_), _) => self.updated += 1,
            _ => self.created += 1,
        }
    }

    /// How many rows were seen.
    pub fn rows(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.rejected
    }

    /// Writes a line for each rejected row, `source` in front, in the order of the file.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_rejected(&self, source: &str, out: &mut impl Write) -> io::Result<()> {
        // What cannot be parsed is found before what does not fit the schema.
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(line, _)| *line);
        for (line, reason) in reasons {
            writeln!(out, "{source}:{line}: {reason}")?;
        }
        match self.rejected - self.reasons.len() as u64 {
            0 => Ok(()),
            more => writeln!(out, "... and {more} more"),
        }
    }

    /// Writes what was done, in one line.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_summary(
        &self,
        collection: &str,
        elapsed: Duration,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Self {
            created,
            updated,
            unchanged,
            rejected,
            ..
        } = self;
        let rows = self.rows();
        let seconds = elapsed.as_secs_f64();
        let rate = rows as f64 / seconds.max(1e-6);
        let word = if rows == 1 { "row" } else { "rows" };
        writeln!(
            out,
            "{collection}: {created} created, {updated} updated, {unchanged} unchanged, {rejected} \
             rejected ({rows} {word} in {seconds:.2} s, {rate:.0} rows/s)"
        )
    }
}

/// Why something was refused, in one line: every violation with its place, else the whole reason.
pub fn reason(error: &Error) -> String {
    let errors = error.errors();
    if errors.is_empty() {
        return with_causes(error);
    }
    let each = errors
        .iter()
        .map(|violation| match violation.path.as_str() {
            "" => violation.message.clone(),
            path => format!("{path} {}", violation.message),
        });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use nubo_core::Violation;

    use super::*;

    #[test]
    fn only_some_of_many_rejected_rows_are_shown() {
        let mut report = Report::default();
        for line in 1..=60 {
            report.reject(line, "/a is required".into());
        }
        let mut out = Vec::new();
        report.write_rejected("films.json", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().next(), Some("films.json:1: /a is required"));
        assert_eq!(text.lines().count(), 51);
        assert!(text.ends_with("... and 10 more\n"), "{text}");
    }

    #[test]
    fn every_violation_is_named() {
        let error = Error::Invalid(vec![
            Violation::new("/a", "required", "is required"),
            Violation::new("", "wrong_type", "must be an object, not text"),
        ]);
        assert_eq!(
            reason(&error),
            "/a is required; must be an object, not text"
        );
        assert_eq!(
            reason(&Error::internal("disk full")),
            "internal error: disk full"
        );
    }
}
