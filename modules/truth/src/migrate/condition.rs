//! Names in the condition of an index, as the database writes it.

/// What a name means where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Table,
    Column,
}

/// The condition with another name for a table or a column. Databases do the same to indexes that
/// exist; ours are written anew where a table is.
pub(super) fn renamed(condition: &str, what: Name, from: &str, to: &str) -> String {
    let mut result = String::new();
    let mut rest = condition;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => quoted_length(rest, first),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let name = match first {
            '"' => token.strip_prefix('"').and_then(|t| t.strip_suffix('"')),
            // What follows two colons is a type.
            c if is_word(c) && !result.ends_with("::") => Some(token),
            _ => None,
        };
        let means = match after.starts_with('.') {
            true => Name::Table,
            false => Name::Column,
        };
        match name {
            Some(name) if name == from && means == what => {
                result.push_str(&format!("\"{to}\""));
            }
            _ => result.push_str(token),
        }
        rest = after;
    }
    result
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How long a quoted text is; a quote inside is written twice.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(end) = text[at..].find(quote) {
        at += end + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_where_they_are_names() {
        for (condition, what, expected) in [
            (r#""n"."a" = 1"#, Name::Column, r#""n"."z" = 1"#),
            (r#""a"."a" = 1"#, Name::Table, r#""z"."a" = 1"#),
            (
                r#"(a = 'a''a'::text)"#,
                Name::Column,
                r#"("z" = 'a''a'::text)"#,
            ),
            (r#"(b = 'x'::a)"#, Name::Column, r#"(b = 'x'::a)"#),
            (
                r#"(ab = 1 AND "A" IS NULL)"#,
                Name::Column,
                r#"(ab = 1 AND "A" IS NULL)"#,
            ),
        ] {
            assert_eq!(renamed(condition, what, "a", "z"), expected);
        }
    }
}
