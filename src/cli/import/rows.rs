//! The rows of a file, one after the other, each with the line on which it begins.
//!
//! A file is a JSON array, or JSON objects with a line each (NDJSON). Only one row is in memory at a
//! time: the elements of an array are told apart by their brackets and quotes alone and only then
//! handed to the JSON parser, which is also what makes their lines known.

use std::io::{self, BufRead, BufReader, Read};

use clap::ValueEnum;
use serde_json::Value as Json;

/// The largest row, in bytes. Beyond this it is no row but the wrong format.
const MAX_ROW: usize = 16 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON array if the file begins with `[`, else a JSON object per line
    #[default]
    Auto,
    /// One JSON array of objects
    Json,
    /// One JSON object per line
    Ndjson,
}

/// One row.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// What it says, or why that cannot be read.
    pub content: Result<Json, String>,
    /// How many bytes it takes in the file.
    pub bytes: usize,
}

/// Reads rows. After one that makes the rest unreadable it ends, and that row says so.
pub struct Rows<R> {
    input: BufReader<R>,
    line: usize,
    offset: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is read yet.
    Start(Format),
    Lines,
    /// In an array; the first element may be missing.
    First,
    /// In an array, behind an element.
    Next,
    End,
}

/// What makes the rest unreadable, and on which line.
struct Broken {
    line: usize,
    message: String,
}

impl<R: Read> Rows<R> {
    /// The rows of `input`.
    pub fn new(input: R, format: Format) -> Self {
        Self {
            input: BufReader::with_capacity(64 << 10, input),
            line: 1,
            offset: 0,
            state: State::Start(format),
        }
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn read(&mut self) -> Result<Option<Row>, Broken> {
        if let State::Start(format) = self.state {
            self.begin(format)?;
        }
        match self.state {
            State::Lines => self.read_line(),
            State::First | State::Next => self.read_element(),
            State::Start(_) | State::End => Ok(None),
        }
    }

    fn begin(&mut self, format: Format) -> Result<(), Broken> {
        // A buffer may end anywhere, in the middle of the mark too.
        for expected in BYTE_ORDER_MARK {
            if self.peek()? == Some(*expected) {
                self.bump(*expected);
            }
        }
        let first = self.skip_space()?;
        self.state = match (format, first) {
            (_, None) => State::End,
            (Format::Ndjson, _) => State::Lines,
            (_, Some(b'[')) => {
                self.bump(b'[');
                State::First
            }
            (Format::Auto, Some(_)) => State::Lines,
            (Format::Json, Some(other)) => {
                let found = char::from(other).escape_default();
                return Err(
                    self.broken(format!("a JSON array begins with `[`, not with `{found}`"))
                );
            }
        };
        Ok(())
    }

    fn read_line(&mut self) -> Result<Option<Row>, Broken> {
        loop {
            let line = self.line;
            let mut text = Vec::new();
            let mut limited = self.input.by_ref().take(MAX_ROW as u64 + 1);
            let read = limited.read_until(b'\n', &mut text);
            let bytes = read.map_err(|error| self.failed(error))?;
            if bytes == 0 {
                self.state = State::End;
                return Ok(None);
            }
            if bytes > MAX_ROW {
                return Err(self.broken(too_large()));
            }
            self.offset += bytes as u64;
            self.line += 1;
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let content = serde_json::from_slice(&text);
            let content = content.map_err(|error| syntax_error(&error, None));
            return Ok(Some(Row {
                line,
                content,
                bytes,
            }));
        }
    }

    fn read_element(&mut self) -> Result<Option<Row>, Broken> {
        let next = self.skip_space()?;
        match (self.state, next) {
            (State::First | State::Next, Some(b']')) => {
                self.bump(b']');
                self.state = State::End;
                return match self.skip_space()? {
                    None => Ok(None),
                    Some(_) => Err(self.broken("something follows the end of the array".into())),
                };
            }
            (State::Next, Some(b',')) => {
                self.bump(b',');
                self.skip_space()?;
            }
            (State::Next, Some(_)) => {
                return Err(self.broken("a `,` is missing between two rows".into()));
            }
            (_, None) => return Err(self.broken("the array is not closed with `]`".into())),
            (_, Some(_)) => {}
        }
        let line = self.line;
        let text = self.take_element()?;
        self.state = State::Next;
        match serde_json::from_slice(&text) {
            Ok(json) => Ok(Some(Row {
                line,
                content: Ok(json),
                bytes: text.len(),
            })),
            // Where the brackets do not fit, nobody knows where the next row begins.
            Err(error) => Err(Broken {
                line,
                message: syntax_error(&error, Some(line)),
            }),
        }
    }

    /// Everything up to the `,` or `]` that ends an element.
    fn take_element(&mut self) -> Result<Vec<u8>, Broken> {
        let mut text = Vec::new();
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        while let Some(byte) = self.peek()? {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = byte == b'\\' && !escaped;
            } else {
                match byte {
                    b',' | b']' if depth == 0 => return Ok(text),
                    b'"' => in_string = true,
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            if text.len() == MAX_ROW {
                return Err(self.broken(too_large()));
            }
            self.bump(byte);
            text.push(byte);
        }
        Err(self.broken("the file ends in the middle of a row".into()))
    }

    fn skip_space(&mut self) -> Result<Option<u8>, Broken> {
        loop {
            match self.peek()? {
                Some(byte) if byte.is_ascii_whitespace() => self.bump(byte),
                other => return Ok(other),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, Broken> {
        match self.input.buffer().first() {
            Some(byte) => Ok(Some(*byte)),
            None => match self.input.fill_buf() {
                Ok(bytes) => Ok(bytes.first().copied()),
                Err(error) => Err(self.failed(error)),
            },
        }
    }

    /// Goes past the byte that was seen.
    fn bump(&mut self, byte: u8) {
        self.input.consume(1);
        self.offset += 1;
        self.line += usize::from(byte == b'\n');
    }

    fn broken(&self, message: String) -> Broken {
        Broken {
            line: self.line,
            message,
        }
    }

    fn failed(&self, error: io::Error) -> Broken {
        self.broken(format!("cannot be read: {error}"))
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        self.read().unwrap_or_else(|broken| {
            self.state = State::End;
            Some(Row {
                line: broken.line,
                content: Err(format!("{}; what follows was not read", broken.message)),
                bytes: 0,
            })
        })
    }
}

fn too_large() -> String {
    format!("a row is larger than {} MiB", MAX_ROW >> 20)
}

/// What the JSON parser says, its place inside the row turned into one in the file: the line, where
/// the row goes over several, else the column.
fn syntax_error(error: &serde_json::Error, first_line: Option<usize>) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = error.to_string();
    let message = message.strip_suffix(&place).unwrap_or(&message);
    match first_line {
        Some(first) if error.line() > 1 => {
            let line = first + error.line() - 1;
            format!(
                "is no JSON: {message} (line {line}, column {})",
                error.column()
            )
        }
        // The row may stand anywhere on its line.
        Some(_) => format!("is no JSON: {message}"),
        None if error.is_eof() => {
            format!("is no JSON: {message}; in NDJSON each row is whole on one line")
        }
        None => format!("is no JSON: {message} (column {})", error.column()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(text: &str, format: Format) -> Vec<(usize, Result<Json, String>)> {
        // A reader of small bites finds what depends on where a buffer ends.
        struct Bites<'a>(&'a [u8]);
        impl Read for Bites<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let length = out.len().min(3);
                self.0.read(&mut out[..length])
            }
        }
        let rows = Rows::new(Bites(text.as_bytes()), format);
        rows.map(|row| (row.line, row.content)).collect()
    }

    fn refusal(text: &str, format: Format) -> (usize, String) {
        let (line, content) = rows(text, format).pop().unwrap();
        (line, content.unwrap_err())
    }

    #[test]
    fn both_formats_are_told_apart_and_lines_counted() {
        let array = "\u{feff}\n [ {\"a\": 1},\n\n  {\"a\":\n \"x,]}\\\"[\"}\n, [2]]\n";
        let expected = vec![
            (2, Ok(json!({"a": 1}))),
            (4, Ok(json!({"a": "x,]}\"["}))),
            (6, Ok(json!([2]))),
        ];
        assert_eq!(rows(array, Format::Auto), expected);
        assert_eq!(rows(array, Format::Json), expected);

        let lines = "{\"a\": 1}\r\n\n  {\"a\": 2}";
        let expected = vec![(1, Ok(json!({"a": 1}))), (3, Ok(json!({"a": 2})))];
        assert_eq!(rows(lines, Format::Auto), expected);
        assert_eq!(rows(lines, Format::Ndjson), expected);
        assert_eq!(rows("[1]", Format::Ndjson), vec![(1, Ok(json!([1])))]);
    }

    #[test]
    fn no_rows_are_no_mistake() {
        for empty in ["", " \n ", "[]", "\n[ \n ]\n"] {
            assert_eq!(rows(empty, Format::Auto), vec![], "{empty:?}");
        }
    }

    #[test]
    fn a_broken_line_costs_one_row_of_ndjson() {
        let found = rows("{\"a\": 1}\n{\"a\": }\n{\"a\": 3}\n", Format::Auto);
        assert_eq!(found.len(), 3);
        assert_eq!(
            found[1],
            (2, Err("is no JSON: expected value (column 7)".into()))
        );
        let (line, message) = refusal("{\n", Format::Auto);
        assert_eq!(line, 1);
        assert!(
            message.ends_with("each row is whole on one line"),
            "{message}"
        );
    }

    #[test]
    fn a_broken_row_ends_an_array() {
        for (text, line, expected) in [
            ("[{},\n{\"a\": nope},{}]", 2, "is no JSON: expected ident"),
            ("[{},\n{\"a\":\n 1 2},{}]", 2, "(line 3, column 4)"),
            (
                "[{}\n{}]",
                1,
                "is no JSON: trailing characters (line 2, column 1)",
            ),
            ("[{},\n", 2, "the file ends in the middle of a row"),
            ("[{}\n,]", 2, "is no JSON: EOF"),
            ("[\n", 2, "not closed"),
            ("[{}]\n x", 2, "something follows"),
            ("[{\"a\": \"]", 1, "in the middle of a row"),
            ("{}", 1, "begins with `[`, not with `{`"),
        ] {
            let (at, message) = refusal(text, Format::Json);
            assert_eq!(at, line, "{text}: {message}");
            assert!(message.contains(expected), "{text}: {message}");
            assert!(message.ends_with("what follows was not read"));
        }
    }
}
