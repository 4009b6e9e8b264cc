//! Mistakes as they are found, each with the place where it stands.

use crate::{
    field::Field,
    mistake::{Mistake, without_hint},
    violation::{Pointer, Violation},
};

/// Collects the mistakes of one declaration, each at the place where it stands.
pub(in crate::schema) struct Report<'a> {
    pub(super) declaration: usize,
    pub(super) at: Pointer,
    pub(super) mistakes: &'a mut Vec<Mistake>,
    pub(super) excused: &'a [String],
    /// Fields of this declaration whose type could not be told: what follows from that is not said.
    pub(super) broken: Vec<String>,
    /// Whether an owner is named, rightly or wrongly.
    pub(super) names_owner: bool,
}

impl Report<'_> {
    /// Runs a part one key further in.
    pub(in crate::schema) fn inside<T>(
        &mut self,
        key: impl std::fmt::Display,
        part: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut at = std::mem::take(&mut self.at);
        let result = at.at(key, |inner| {
            self.at = inner.clone();
            part(self)
        });
        self.at = at;
        result
    }

    /// The key here is a mistake.
    pub(in crate::schema) fn key(&mut self, message: impl Into<String>) {
        self.add(true, message.into(), None, "");
    }

    /// The value here is a mistake.
    pub(in crate::schema) fn value(
        &mut self,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.add(false, message.into(), suggestion, "");
    }

    /// What the value here violates.
    pub(in crate::schema) fn violations(
        &mut self,
        found: &[Violation],
        word: impl Fn(&Violation) -> String,
    ) {
        for violation in found {
            let at_key = matches!(violation.code, "unknown_field" | "unknown_operator");
            let message = word(violation);
            let (message, suggestion) = without_hint(&message);
            let suggestion = suggestion.map(str::to_owned);
            self.add(at_key, message.to_owned(), suggestion, &violation.path);
        }
    }

    /// Whether nobody knows what this field should have been.
    pub(super) fn is_broken(&self, field: &Field) -> bool {
        self.broken.contains(&field.name)
    }

    /// Whether a name is missing only because its file could not be read.
    pub(in crate::schema) fn is_excused(&self, name: &str) -> bool {
        self.excused.iter().any(|excused| excused == name)
    }

    fn add(&mut self, at_key: bool, message: String, suggestion: Option<String>, below: &str) {
        self.mistakes.push(Mistake {
            declaration: self.declaration,
            pointer: format!("{}{below}", self.at.as_str()),
            at_key,
            message,
            suggestion,
        });
    }
}
