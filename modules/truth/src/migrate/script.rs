//! SQL for people to read and for a database to execute.

use std::fmt::Write;

/// Statements that belong together, and what they are for.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub comments: Vec<String>,
    pub statements: Vec<String>,
    /// What a failure is told with.
    pub label: String,
}

/// How wide a line of a comment gets.
const WIDTH: usize = 98;

/// Writes blocks as a file.
pub(super) fn write(head: &[String], blocks: &[Block]) -> String {
    let mut text = String::new();
    for line in head {
        comment(line, &mut text);
    }
    for block in blocks {
        text.push('\n');
        for line in &block.comments {
            comment(line, &mut text);
        }
        for statement in &block.statements {
            // Writing into a string cannot fail.
            let written = writeln!(text, "{statement};");
            debug_assert!(written.is_ok());
        }
    }
    text
}

fn comment(line: &str, text: &mut String) {
    let mut column = 0;
    for word in line.split_whitespace() {
        if column > 0 && column + 1 + word.chars().count() > WIDTH {
            text.push('\n');
            column = 0;
        }
        text.push_str(if column == 0 { "-- " } else { " " });
        column += word.chars().count() + if column == 0 { 3 } else { 1 };
        text.push_str(word);
    }
    text.push('\n');
}
