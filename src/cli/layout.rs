//! How values and tables look on a terminal.

use std::io::{self, Write};

use serde_json::Value as Json;

/// A value on one line, as YAML's flow style writes it.
pub fn flow(value: &Json) -> String {
    match value {
        Json::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Json::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{key}: {}", flow(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(flow).collect::<Vec<_>>().join(", ")
            )
        }
        Json::String(text) if text.is_empty() => "\"\"".to_owned(),
        Json::String(text) => text.clone(),
        Json::Null => "~".to_owned(),
        scalar => scalar.to_string(),
    }
}

/// How long a line may get before what is on it is spread over several.
const WIDTH: usize = 96;

/// A value as an item of a list.
pub fn item(value: &Json) -> String {
    format!("- {}", indented(&spread(value), "  ").trim_start())
}

/// A value behind its key.
pub fn entry(key: &str, value: &Json) -> String {
    let text = spread(value);
    if text != flow(value) {
        format!("{key}:\n{}", indented(&text, "  "))
    } else {
        format!("{key}: {text}")
    }
}

/// A value on one line if that is short enough, else in YAML's block style.
fn spread(value: &Json) -> String {
    let line = flow(value);
    let lines: Vec<String> = match value {
        _ if line.chars().count() <= WIDTH => return line,
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| entry(key, value))
            .collect(),
        Json::Array(items) => items.iter().map(item).collect(),
        _ => return line,
    };
    lines.join("\n")
}

/// Every line moved to the right.
pub fn indented(text: &str, by: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("{by}{line}")).collect();
    lines.join("\n")
}

/// A heading and lines under it; nothing if there are no lines.
pub fn section(
    heading: &str,
    lines: impl Iterator<Item = String>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        writeln!(out, "\n{heading}")?;
    }
    lines.try_for_each(|line| writeln!(out, "{line}"))
}

/// Writes rows in columns as wide as what is in them, two spaces apart.
pub fn table(
    headings: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    out: &mut impl Write,
) -> io::Result<()> {
    let headings = (!headings.is_empty()).then(|| {
        headings
            .iter()
            .map(|heading| (*heading).to_owned())
            .collect()
    });
    let rows: Vec<Vec<String>> = headings.into_iter().chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_too_long_for_a_line_is_spread_and_still_yaml() {
        let long = "x".repeat(60);
        let value = json!({"a": {"$in": {"b": long, "c": [{"d": long}, long]}}, "e": null});
        let text = spread(&value);
        assert!(text.lines().count() > 3, "{text}");
        assert_eq!(crate::config::yaml::parse(&text).unwrap().value, value);
        assert_eq!(
            flow(&json!({"a": [1, true], "b": {}})),
            "{ a: [1, true], b: {} }"
        );
    }
}
