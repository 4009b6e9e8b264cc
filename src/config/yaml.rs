//! Reading YAML: the one file that knows the parser.
//!
//! Out comes what serde understands (a JSON value, keys in the order in which they were written)
//! and, beside it, where every value and every key stood. The value is built from the parser's
//! events rather than from its tree, for three reasons: each mistake that leaves the rest readable
//! (a duplicate key, say) can be noted and passed over, so that one run reports them all; nothing
//! here recurses, so that depth is bounded by a number instead of by the stack; and an alias can be
//! charged for what it expands to before it is expanded.

use std::collections::HashMap;

use saphyr::{Marker, Scalar};
use saphyr_parser::{Event, Parser, Span, StrInput};
use serde_json::{Map, Value as Json};

use super::{
    pointer::escape,
    position::{Position, Positions},
};

/// Largest file that is read.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting of lists and maps.
pub const MAX_DEPTH: usize = 64;
/// Most values in one file, those that aliases stand for included.
pub const MAX_VALUES: usize = 100_000;
/// Most bytes in the pointer of a value. Every value has one, so a key of half a megabyte over many
/// values would otherwise cost as much as an alias bomb.
const MAX_POINTER: usize = 1024;

impl From<Marker> for Position {
    fn from(marker: Marker) -> Self {
        Self {
            line: marker.line().max(1),
            column: marker.col() + 1,
        }
    }
}

/// A mistake in the text itself, whatever it is supposed to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    pub position: Position,
    /// What is wrong, without a full stop.
    pub message: String,
}

impl Flaw {
    fn new(position: impl Into<Position>, message: impl Into<String>) -> Self {
        Self {
            position: position.into(),
            message: message.into(),
        }
    }
}

/// A text that could be read.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it says; null when it is empty.
    pub value: Json,
    /// Where it says so.
    pub positions: Positions,
    /// Mistakes that leave the rest readable. The document is wrong all the same.
    pub flaws: Vec<Flaw>,
}

/// Reads the bytes of a file.
///
/// # Errors
/// The flaw that makes the text unreadable: too large, not UTF-8, not YAML, more than one document,
/// nested too deep, or larger than [`MAX_VALUES`] once its aliases are expanded.
pub fn read(bytes: &[u8]) -> Result<Document, Flaw> {
    if bytes.len() > MAX_BYTES {
        let message = format!("the file is larger than {} KiB", MAX_BYTES / 1024);
        return Err(Flaw::new(Position::START, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        Flaw::new(end_of(&before), "the file is not UTF-8 text")
    })?;
    parse(text)
}

/// Reads a text. See [`read`] for what can go wrong.
pub fn parse(text: &str) -> Result<Document, Flaw> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut events = Parser::new_from_str(text);
    Builder::default().run(&mut events)
}

/// Where a text ends.
fn end_of(text: &str) -> Position {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position {
        line: text.matches('\n').count() + 1,
        column: last.chars().count() + 1,
    }
}

/// A list or map that has begun and not ended.
struct Open {
    content: Content,
    pointer: String,
    anchor: usize,
    /// How many values were there when it began; tells how much an alias to it will cost.
    values_before: usize,
}

enum Content {
    List(Vec<Json>),
    Map {
        entries: Map<String, Json>,
        /// The key whose value comes next, and whether it was there before.
        key: Option<(String, bool)>,
    },
}

/// What an anchor names: its value, where it stands and how many values are in it.
struct Anchored {
    value: Json,
    pointer: String,
    size: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    positions: Positions,
    flaws: Vec<Flaw>,
    values: usize,
    root: Option<Json>,
    documents: usize,
}

impl Builder {
    fn run(mut self, events: &mut Parser<'_, StrInput<'_>>) -> Result<Document, Flaw> {
        while let Some(event) = events.next_event() {
            let (event, span) = event.map_err(|error| Flaw::new(*error.marker(), error.info()))?;
            self.take(event, span)?;
        }
        self.positions.set_start();
        Ok(Document {
            value: self.root.unwrap_or_default(),
            positions: self.positions,
            flaws: self.flaws,
        })
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Flaw> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Flaw::new(
                        span.start,
                        "a second document begins here; one file holds one",
                    ));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if self.awaits_key() {
                    return self.take_key(&text, style, tag.as_deref(), span.start);
                }
                let scalar = Scalar::parse_from_cow_and_metadata(text.clone(), style, tag.as_ref());
                let value = self.scalar(scalar, &text, tag.as_deref(), span.start);
                let pointer = self.place(span.start)?;
                self.finish(value, pointer, anchor, 1);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span.start);
                self.begin(Content::List(Vec::new()), anchor, span.start)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span.start);
                let content = Content::Map {
                    entries: Map::new(),
                    key: None,
                };
                self.begin(content, anchor, span.start)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.expand(anchor, span.start)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// Whether the next node is the key of a map.
    fn awaits_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                content: Content::Map { key: None, .. },
                ..
            })
        )
    }

    fn take_key(
        &mut self,
        text: &str,
        style: saphyr::ScalarStyle,
        tag: Option<&saphyr::Tag>,
        at: Marker,
    ) -> Result<(), Flaw> {
        self.refuse_tag(tag, at);
        let read = Scalar::parse_from_cow_and_metadata(text.into(), style, None);
        if !matches!(read, Some(Scalar::String(_))) {
            let message = format!("a key must be text; write it in quotes: \"{text}\"");
            self.flaws.push(Flaw::new(at, message));
        }
        let Some(Open {
            content: Content::Map { entries, key },
            pointer,
            ..
        }) = self.open.last_mut()
        else {
            return Ok(());
        };
        let known = entries.contains_key(text);
        *key = Some((text.to_owned(), known));
        let pointer = format!("{pointer}/{}", escape(text));
        if known {
            let mut message = format!("duplicate key `{text}`");
            if let Some(first) = self.positions.key(&pointer) {
                message = format!("{message}, already on line {}", first.line);
            }
            self.flaws.push(Flaw::new(at, message));
        } else {
            self.positions.set_key(pointer, at.into());
        }
        Ok(())
    }

    /// The pointer at which the next value goes, after noting that it begins here.
    fn place(&mut self, at: Marker) -> Result<String, Flaw> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(too_many(at));
        }
        let pointer = match self.open.last() {
            None => String::new(),
            Some(open) => match &open.content {
                Content::List(items) => format!("{}/{}", open.pointer, items.len()),
                Content::Map {
                    key: Some((key, false)),
                    ..
                } => {
                    format!("{}/{}", open.pointer, escape(key))
                }
                // What a duplicate key holds is read and thrown away. `~2` occurs in no valid
                // pointer, so its positions cover up no others.
                Content::Map {
                    key: Some((key, true)),
                    ..
                } => {
                    format!("{}/~2{}", open.pointer, escape(key))
                }
                Content::Map { key: None, .. } => {
                    return Err(Flaw::new(at, "a key must be text, not a list or a map"));
                }
            },
        };
        if pointer.len() > MAX_POINTER {
            return Err(Flaw::new(at, "the keys that lead here are too long"));
        }
        self.positions.set_value(pointer.clone(), at.into());
        Ok(pointer)
    }

    fn begin(&mut self, content: Content, anchor: usize, at: Marker) -> Result<(), Flaw> {
        if self.open.len() == MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Flaw::new(at, message));
        }
        let values_before = self.values;
        let pointer = self.place(at)?;
        self.open.push(Open {
            content,
            pointer,
            anchor,
            values_before,
        });
        Ok(())
    }

    fn end(&mut self) {
        if let Some(open) = self.open.pop() {
            let value = match open.content {
                Content::List(items) => Json::Array(items),
                Content::Map { entries, .. } => Json::Object(entries),
            };
            let size = self.values - open.values_before;
            self.finish(value, open.pointer, open.anchor, size);
        }
    }

    /// Puts a complete value where it belongs.
    fn finish(&mut self, value: Json, pointer: String, anchor: usize, size: usize) {
        if anchor > 0 {
            let value = value.clone();
            self.anchors.insert(
                anchor,
                Anchored {
                    value,
                    pointer,
                    size,
                },
            );
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(value),
            Some(Content::List(items)) => items.push(value),
            Some(Content::Map { entries, key }) => {
                if let Some((key, false)) = key.take() {
                    entries.insert(key, value);
                }
            }
        }
    }

    /// Puts the value of an anchor in the place of an alias. Mistakes inside it are shown where
    /// they were written, at the anchor.
    fn expand(&mut self, anchor: usize, at: Marker) -> Result<(), Flaw> {
        if self.awaits_key() {
            return Err(Flaw::new(at, "an alias cannot stand for a key"));
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Flaw::new(at, "an alias cannot stand inside its own anchor"));
        };
        self.values = self.values.saturating_add(anchored.size);
        if self.values > MAX_VALUES || self.open.len() + depth(&anchored.value) > MAX_DEPTH {
            return Err(too_many(at));
        }
        let (value, from) = (anchored.value.clone(), anchored.pointer.clone());
        let to = self.place(at)?;
        self.positions.copy(&value, &from, &to);
        self.finish(value, to, 0, 0);
        Ok(())
    }

    fn scalar(
        &mut self,
        scalar: Option<Scalar<'_>>,
        text: &str,
        tag: Option<&saphyr::Tag>,
        at: Marker,
    ) -> Json {
        match scalar {
            Some(Scalar::Null) => Json::Null,
            Some(Scalar::Boolean(value)) => value.into(),
            Some(Scalar::Integer(value)) => value.into(),
            Some(Scalar::String(value)) => {
                self.refuse_tag(tag, at);
                Json::String(value.into_owned())
            }
            Some(Scalar::FloatingPoint(value)) => {
                if let Ok(whole) = text.parse::<u64>() {
                    return whole.into();
                }
                let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
                match serde_json::Number::from_f64(*value) {
                    Some(number) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                        Json::Number(number)
                    }
                    _ => {
                        let message = format!("the number {text} cannot be kept exactly");
                        self.flaws.push(Flaw::new(at, message));
                        Json::Null
                    }
                }
            }
            None => {
                let message = format!("`{text}` is not what its tag says");
                self.flaws.push(Flaw::new(at, message));
                Json::Null
            }
        }
    }

    /// Notes a tag that is not one of YAML's own. Such tags make other readers run code or build
    /// objects; here they mean nothing.
    fn refuse_tag(&mut self, tag: Option<&saphyr::Tag>, at: Marker) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let message = format!("the tag `{}{}` means nothing here", tag.handle, tag.suffix);
            self.flaws.push(Flaw::new(at, message));
        }
    }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn too_many(at: Marker) -> Flaw {
    Flaw::new(at, "the file holds too much once its aliases are expanded")
}

#[cfg(test)]
#[path = "yaml_test.rs"]
mod tests;
