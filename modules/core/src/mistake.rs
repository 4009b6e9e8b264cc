//! Mistakes in what people wrote in their configuration.

use std::fmt;

/// One mistake: where it is, what is wrong, and the nearest right word if there is one.
///
/// The place is a JSON Pointer (RFC 6901) into the declaration; whoever read the text turns it into
/// a file, a line and a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Which declaration, as its index in what was compiled.
    pub declaration: usize,
    /// JSON Pointer of the value or key at fault.
    pub pointer: String,
    /// Whether the key at the pointer is at fault rather than its value.
    pub at_key: bool,
    /// What is wrong, without a full stop.
    pub message: String,
    /// The nearest word that would have been right.
    pub suggestion: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)?;
        if let Some(word) = &self.suggestion {
            write!(f, " (did you mean `{word}`?)")?;
        }
        Ok(())
    }
}

/// The candidate closest to `word`, if it is close enough to be a slip of the keyboard: at most a
/// third of its letters differ (Damerau–Levenshtein), and never more than three.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A sentence with the word that may have been meant, for people who see nothing but the sentence.
pub fn with_hint(sentence: String, word: Option<&str>) -> String {
    match word {
        Some(word) => format!("{sentence}{HINT}{word}`?"),
        None => sentence,
    }
}

/// Takes apart what [`with_hint`] has made.
pub(crate) fn without_hint(sentence: &str) -> (&str, Option<&str>) {
    let parts = sentence
        .strip_suffix("`?")
        .and_then(|s| s.rsplit_once(HINT));
    match parts {
        Some((sentence, word)) => (sentence, Some(word)),
        None => (sentence, None),
    }
}

const HINT: &str = "; did you mean `";

#[cfg(test)]
mod tests {
    use super::{nearest, with_hint, without_hint};

    #[test]
    fn finds_slips_and_ignores_strangers() {
        assert_eq!(nearest("requird", ["required", "unique"]), Some("required"));
        assert_eq!(nearest("txet", ["text", "int"]), Some("text"));
        assert_eq!(nearest("banana", ["text", "int"]), None);
    }

    #[test]
    fn hints_come_off_again() {
        for (sentence, word) in [("unknown field `naem`", Some("name")), ("is wrong", None)] {
            let whole = with_hint(sentence.to_owned(), word);
            assert_eq!(without_hint(&whole), (sentence, word));
        }
    }
}
