//! A minimal incremental reader of HTTP/1.1 responses.
//!
//! It knows a status line, `Content-Length` and `Transfer-Encoding: chunked`, and nothing else;
//! bytes may arrive cut anywhere. A body is skipped unless the caller wants it.

use std::io::{Error, ErrorKind, Result};

use memchr::{memchr, memmem};

/// Where a response's reading stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    More,
    /// The response ended after `consumed` bytes of the input.
    Done { consumed: usize },
}

#[derive(Debug)]
enum State {
    Head,
    Sized {
        left: u64,
    },
    ChunkSize {
        size: u64,
        digits: u8,
        extension: bool,
    },
    Chunk {
        left: u64,
    },
    ChunkEnd,
    Trailer {
        line: usize,
    },
}

/// Reads one response at a time.
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    /// The head so far, only when it did not come in one piece.
    head: Vec<u8>,
    status: u16,
    body_bytes: u64,
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self {
            state: State::Head,
            head: Vec::new(),
            status: 0,
            body_bytes: 0,
        }
    }
}

/// A head larger than this is taken for garbage.
const MAX_HEAD: usize = 64 * 1024;

impl ResponseReader {
    /// Makes ready for the next response.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.status = 0;
        self.body_bytes = 0;
    }

    /// Status code; 0 before the head is complete.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of body read so far, without the chunks' framing.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Takes `input`, appending the body to `body` if given.
    ///
    /// # Errors
    /// `InvalidData` when this is no HTTP/1.1 response this reader understands.
    pub fn advance(&mut self, input: &[u8], mut body: Option<&mut Vec<u8>>) -> Result<Progress> {
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            match &mut self.state {
                State::Head => {
                    at += self.take_head(rest)?;
                    if matches!(self.state, State::Sized { left: 0 }) {
                        return Ok(Progress::Done { consumed: at });
                    }
                }
                State::Sized { left } => {
                    let taken = skip(left, rest, &mut body, &mut self.body_bytes);
                    at += taken;
                    if *left == 0 {
                        return Ok(Progress::Done { consumed: at });
                    }
                }
                State::ChunkSize {
                    size,
                    digits,
                    extension,
                } => {
                    at += 1;
                    match rest[0] {
                        b'\n' if *digits == 0 => return Err(malformed("a chunk without a size")),
                        b'\n' if *size == 0 => self.state = State::Trailer { line: 0 },
                        b'\n' => self.state = State::Chunk { left: *size },
                        b'\r' => {}
                        b';' => *extension = true,
                        _ if *extension => {}
                        byte => {
                            let digit = char::from(byte)
                                .to_digit(16)
                                .filter(|_| *digits < 15)
                                .ok_or_else(|| malformed("a bad chunk size"))?;
                            *size = *size * 16 + u64::from(digit);
                            *digits += 1;
                        }
                    }
                }
                State::Chunk { left } => {
                    at += skip(left, rest, &mut body, &mut self.body_bytes);
                    if *left == 0 {
                        self.state = State::ChunkEnd;
                    }
                }
                State::ChunkEnd => {
                    at += 1;
                    match rest[0] {
                        b'\r' => {}
                        b'\n' => self.state = CHUNK_START,
                        _ => return Err(malformed("a chunk longer than its size")),
                    }
                }
                State::Trailer { line } => {
                    at += 1;
                    match rest[0] {
                        b'\r' => {}
                        b'\n' if *line == 0 => return Ok(Progress::Done { consumed: at }),
                        b'\n' => *line = 0,
                        _ => *line += 1,
                    }
                }
            }
        }
        Ok(Progress::More)
    }

    /// Takes bytes of the head; returns how many belonged to it.
    fn take_head(&mut self, input: &[u8]) -> Result<usize> {
        if self.head.is_empty()
            && let Some(end) = memmem::find(input, b"\r\n\r\n")
        {
            let end = end + 4;
            (self.status, self.state) = parse_head(&input[..end])?;
            return Ok(end);
        }
        let before = self.head.len();
        self.head.extend_from_slice(input);
        if self.head.len() > MAX_HEAD {
            return Err(malformed("an endless head"));
        }
        // The blank line may be cut: look from three bytes before the new ones.
        let from = before.saturating_sub(3);
        let Some(end) = memmem::find(&self.head[from..], b"\r\n\r\n") else {
            return Ok(input.len());
        };
        let end = from + end + 4;
        (self.status, self.state) = parse_head(&self.head[..end])?;
        Ok(end - before)
    }
}

const CHUNK_START: State = State::ChunkSize {
    size: 0,
    digits: 0,
    extension: false,
};

fn skip(left: &mut u64, rest: &[u8], body: &mut Option<&mut Vec<u8>>, total: &mut u64) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
    if let Some(body) = body {
        body.extend_from_slice(&rest[..taken]);
    }
    *left -= taken as u64;
    *total += taken as u64;
    taken
}

/// Status and what the body is delimited by.
fn parse_head(head: &[u8]) -> Result<(u16, State)> {
    let digits = match head {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'1',
            b' ',
            a,
            b,
            c,
            b' ' | b'\r',
            ..,
        ] => [a, b, c],
        _ => return Err(malformed("no HTTP/1.1 status line")),
    };
    let mut status = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(malformed("no HTTP/1.1 status line"));
        }
        status = status * 10 + u16::from(digit - b'0');
    }
    if matches!(status, 204 | 304) {
        return Ok((status, State::Sized { left: 0 }));
    }
    let mut rest = head;
    let mut length = None;
    while let Some(end) = memchr(b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        // Only two headers matter; their first letters spare comparing all the others.
        match line.first() {
            Some(b'C' | b'c') => {
                if let Some(value) = header(line, b"content-length:") {
                    let number = std::str::from_utf8(value)
                        .ok()
                        .and_then(|text| text.parse().ok());
                    length = Some(number.ok_or_else(|| malformed("a bad Content-Length"))?);
                }
            }
            Some(b'T' | b't') if is_chunked(line) => return Ok((status, CHUNK_START)),
            _ => {}
        }
    }
    let left = length.ok_or_else(|| malformed("neither Content-Length nor chunked"))?;
    Ok((status, State::Sized { left }))
}

fn is_chunked(line: &[u8]) -> bool {
    header(line, b"transfer-encoding:").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"))
}

/// The value of `line` when it is the header `name` (lower case, with its colon).
fn header<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn malformed(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("malformed response: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` cut at every position, whole, and byte by byte; all must agree.
    fn read(text: &str) -> (u16, String) {
        let mut answers = Vec::new();
        for cut in 0..=text.len() {
            answers.push(read_pieces(&[
                &text.as_bytes()[..cut],
                &text.as_bytes()[cut..],
            ]));
        }
        answers.push(read_pieces(&text.as_bytes().chunks(1).collect::<Vec<_>>()));
        answers.dedup();
        assert_eq!(
            answers.len(),
            1,
            "the answer depends on where the bytes were cut"
        );
        answers.remove(0)
    }

    fn read_pieces(pieces: &[&[u8]]) -> (u16, String) {
        let mut reader = ResponseReader::default();
        let mut body = Vec::new();
        let mut done = false;
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            assert!(!done, "done too early");
            if let Progress::Done { consumed } = reader.advance(piece, Some(&mut body)).unwrap() {
                assert_eq!(consumed, piece.len());
                done = true;
            }
        }
        assert!(done, "never done");
        assert_eq!(reader.body_bytes(), body.len() as u64);
        (reader.status(), String::from_utf8(body).unwrap())
    }

    #[test]
    fn reads_a_sized_body() {
        let answer = read("HTTP/1.1 201 Created\r\nX: y\r\ncontent-length: 5\r\n\r\nhello");
        assert_eq!(answer, (201, "hello".to_owned()));
    }

    #[test]
    fn reads_an_empty_body() {
        assert_eq!(
            read("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            (404, String::new())
        );
        assert_eq!(
            read("HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
            (204, String::new())
        );
    }

    #[test]
    fn reads_chunks_extensions_and_trailers() {
        let answer = read(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0B;x=y\r\n wide world\r\n0\r\nT: z\r\n\r\n",
        );
        assert_eq!(answer, (200, "hello wide world".to_owned()));
    }

    #[test]
    fn says_what_was_left_over() {
        let mut reader = ResponseReader::default();
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP";
        let progress = reader.advance(text, None).unwrap();
        assert_eq!(
            progress,
            Progress::Done {
                consumed: text.len() - 4
            }
        );
    }

    #[test]
    fn refuses_what_it_cannot_delimit() {
        for text in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc",
        ] {
            assert!(
                ResponseReader::default()
                    .advance(text.as_bytes(), None)
                    .is_err(),
                "{text:?}"
            );
        }
    }
}
