//! Literal text as a regular expression.

use nubo_core::filter::TextMatch;

/// The pattern that finds a text. At the beginning of another one it is one that indexes answer,
/// unless letters may have either case.
///
/// MongoDB's option `i` would take more than ASCII for letters: `K` would find the sign of Kelvin.
pub(super) fn pattern(how: TextMatch, wanted: &str) -> String {
    let mut pattern = String::with_capacity(wanted.len() + 8);
    if how.at_start {
        pattern.push('^');
    }
    for character in wanted.chars() {
        match character {
            'a'..='z' | 'A'..='Z' if how.ignore_case => {
                pattern.push('[');
                pattern.push(character.to_ascii_lowercase());
                pattern.push(character.to_ascii_uppercase());
                pattern.push(']');
            }
            // A backslash before what is no letter or digit makes that stand for itself.
            character if character.is_ascii_punctuation() => {
                pattern.push('\\');
                pattern.push(character);
            }
            character => pattern.push(character),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern_of(wanted: &str, at_start: bool, ignore_case: bool) -> String {
        let how = TextMatch {
            at_start,
            ignore_case,
        };
        pattern(how, wanted)
    }

    #[test]
    fn text_stands_for_itself() {
        assert_eq!(pattern_of("a.b*", false, false), r"a\.b\*");
        assert_eq!(pattern_of("it's_%", true, false), r"^it\'s\_\%");
        assert_eq!(pattern_of("é😀\n", false, false), "é😀\n");
        assert_eq!(pattern_of("", true, false), "^");
    }

    #[test]
    fn only_ascii_letters_have_two_cases() {
        assert_eq!(pattern_of("aK1é", true, true), "^[aA][kK]1é");
    }
}
