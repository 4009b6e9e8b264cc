//! Checks what was written against the JSON Schema of the type that will hold it.
//!
//! This is no general validator. It knows the keywords that schemars writes, and in exchange it
//! reports every mistake at its own place and in plain words, with the nearest right word. Among
//! alternatives it goes by what was evidently meant: the kind of the value first, then the words
//! in it, and the mistakes reported are those of that alternative alone.

use nubo_core::nearest;
use serde_json::{Map, Value as Json};

use super::{
    pointer::{escape, parent},
    shape::{Kind, Shape, found, listed},
    values,
};

/// What kind of mistake a fault is; decides what can still be read around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A key that means nothing.
    UnknownKey,
    /// A key that means nothing, while the key it resembles is missing.
    MisspeltKey,
    /// A key that should be there; the pointer is that of the map.
    MissingKey,
    /// A value that cannot stand here.
    WrongValue,
}

/// One mistake in the structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON Pointer into what was checked.
    pub pointer: String,
    pub kind: FaultKind,
    /// What is wrong, without a full stop.
    pub message: String,
    /// The nearest word that would have been right.
    pub suggestion: Option<String>,
}

impl Fault {
    /// Whether the key at the pointer is at fault rather than its value. A missing key is shown at
    /// the key of the map that should have it.
    pub fn at_key(&self) -> bool {
        self.kind != FaultKind::WrongValue
    }
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// The mistakes, in the order of the text.
    pub faults: Vec<Fault>,
    /// Pointers of keys with nothing behind them that count as not written: `indexes:` with all
    /// its items commented out is no mistake.
    pub empty: Vec<String>,
}

/// How much of the whole was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All there is: what is missing is a mistake.
    Whole,
    /// One layer of several: what is missing may stand in another.
    Layer,
}

/// Checks a value against a schema.
pub fn check(schema: &Json, value: &Json, extent: Extent) -> Report {
    let mut walk = Walk {
        extent,
        report: Report::default(),
    };
    walk.node(Shape::root(schema), value, "");
    walk.report
}

struct Walk {
    extent: Extent,
    report: Report,
}

impl Walk {
    fn fault(&mut self, kind: FaultKind, pointer: &str, message: String) {
        self.suggest(kind, pointer, message, None);
    }

    fn suggest(
        &mut self,
        kind: FaultKind,
        pointer: &str,
        message: String,
        suggestion: Option<&str>,
    ) {
        self.report.faults.push(Fault {
            pointer: pointer.to_owned(),
            kind,
            message,
            suggestion: suggestion.map(str::to_owned),
        });
    }

    fn node(&mut self, shape: Shape<'_>, value: &Json, pointer: &str) {
        for part in shape
            .get("allOf")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            self.node(shape.with(part), value, pointer);
        }
        if !shape.takes(Kind::of(value)) {
            let kinds = shape.kinds();
            // An optional value may be left out; nobody needs to be told that nothing would do.
            let expected: Vec<_> = kinds
                .iter()
                .filter(|kind| **kind != Kind::Null)
                .map(|kind| kind.phrase())
                .collect();
            let found = shown(shape, value);
            let message = format!("expected {}, found {found}", listed(&expected));
            return self.fault(FaultKind::WrongValue, pointer, message);
        }
        if let Some(words) = shape.words() {
            return self.one_of(shape, &words, &[], value, pointer);
        }
        let branches = shape.branches();
        if !branches.is_empty() {
            return self.choose(&branches, value, pointer);
        }
        match value {
            Json::Object(entries) => self.map(shape, entries, pointer),
            Json::Array(items) => self.list(shape, items, pointer),
            Json::String(text) => self.text(shape, text, pointer),
            Json::Number(_) => self.number(shape, value, pointer),
            Json::Null | Json::Bool(_) => {}
        }
    }

    fn map(&mut self, shape: Shape<'_>, entries: &Map<String, Json>, pointer: &str) {
        let known = shape.properties();
        let faults_before = self.report.faults.len();
        for (key, value) in entries {
            let pointer = format!("{pointer}/{}", escape(key));
            if let Some(property) = shape.property(key) {
                let optional = shape.required().all(|required| required != key);
                if value.is_null() && optional && !property.takes(Kind::Null) {
                    self.report.empty.push(pointer);
                } else {
                    self.node(property, value, &pointer);
                }
            } else if known.is_some() || shape.get("additionalProperties").is_some() {
                let words = known
                    .into_iter()
                    .flat_map(|known| known.keys().map(String::as_str));
                let message = format!("unknown key `{key}`");
                self.suggest(
                    FaultKind::UnknownKey,
                    &pointer,
                    message,
                    nearest(key, words),
                );
            }
        }
        if self.extent == Extent::Whole {
            for key in shape.required().filter(|key| !entries.contains_key(*key)) {
                // One mistake, not two.
                let slip = self.report.faults[faults_before..]
                    .iter_mut()
                    .find(|fault| {
                        fault.kind == FaultKind::UnknownKey
                            && parent(&fault.pointer) == Some(pointer)
                            && fault.suggestion.as_deref() == Some(key)
                    });
                if let Some(slip) = slip {
                    slip.kind = FaultKind::MisspeltKey;
                    continue;
                }
                let message = format!("the key `{key}` is missing");
                self.fault(FaultKind::MissingKey, pointer, message);
            }
        }
    }

    fn list(&mut self, shape: Shape<'_>, items: &[Json], pointer: &str) {
        if let Some(schema) = shape.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.node(shape.with(schema), item, &format!("{pointer}/{index}"));
            }
        }
        self.length(
            shape,
            items.len(),
            ["minItems", "maxItems"],
            "items",
            pointer,
        );
    }

    fn text(&mut self, shape: Shape<'_>, text: &str, pointer: &str) {
        if let Some(check) = shape.text("format").and_then(values::format) {
            if let Err(message) = check(text) {
                self.fault(FaultKind::WrongValue, pointer, message);
            }
            return;
        }
        let count = text.chars().count();
        self.length(
            shape,
            count,
            ["minLength", "maxLength"],
            "characters",
            pointer,
        );
        let pattern = shape.text("pattern");
        // A pattern that this engine does not know is for editors alone.
        if let Some(Ok(regex)) = pattern.map(regex::Regex::new)
            && !regex.is_match(text)
        {
            let found = shown(shape, &text.into());
            let examples = shape.get("examples").and_then(Json::as_array);
            let examples: Vec<_> = examples
                .into_iter()
                .flatten()
                .filter_map(Json::as_str)
                .map(|example| format!("`{example}`"))
                .collect();
            let message = if examples.is_empty() {
                format!("{found} does not match `{}`", regex.as_str())
            } else {
                format!(
                    "{found} cannot stand here; write for example {}",
                    listed(&examples)
                )
            };
            self.fault(FaultKind::WrongValue, pointer, message);
        }
    }

    fn length(
        &mut self,
        shape: Shape<'_>,
        length: usize,
        [min, max]: [&str; 2],
        of_what: &str,
        pointer: &str,
    ) {
        let limit = |keyword| shape.get(keyword).and_then(Json::as_u64);
        let length = length as u64;
        if let Some(min) = limit(min).filter(|min| length < *min) {
            let message = format!("expected at least {min} {of_what}, found {length}");
            self.fault(FaultKind::WrongValue, pointer, message);
        }
        if let Some(max) = limit(max).filter(|max| length > *max) {
            let message = format!("expected at most {max} {of_what}, found {length}");
            self.fault(FaultKind::WrongValue, pointer, message);
        }
    }

    fn number(&mut self, shape: Shape<'_>, value: &Json, pointer: &str) {
        let limit = |keyword| shape.get(keyword).and_then(Json::as_f64);
        let (type_min, type_max) = shape.text("format").and_then(range_of).unzip();
        let number = value.as_f64().unwrap_or_default();
        let complaint = if let Some(min) = limit("minimum").or(type_min).filter(|min| number < *min)
        {
            format!("must be at least {min}")
        } else if let Some(max) = limit("maximum").or(type_max).filter(|max| number > *max) {
            format!("must be at most {max}")
        } else if let Some(min) = limit("exclusiveMinimum").filter(|min| number <= *min) {
            format!("must be more than {min}")
        } else if let Some(max) = limit("exclusiveMaximum").filter(|max| number >= *max) {
            format!("must be less than {max}")
        } else {
            return;
        };
        self.fault(
            FaultKind::WrongValue,
            pointer,
            format!("{complaint}, found {value}"),
        );
    }

    /// Checks that a value is one of the words; `others` is what else could stand here.
    fn one_of(
        &mut self,
        shape: Shape<'_>,
        words: &[&Json],
        others: &[Kind],
        value: &Json,
        pointer: &str,
    ) {
        if words.contains(&value) {
            return;
        }
        let texts: Vec<_> = words.iter().filter_map(|word| word.as_str()).collect();
        let words = words.iter().map(|word| match word {
            Json::String(text) => format!("`{text}`"),
            other => other.to_string(),
        });
        let others = others.iter().map(|kind| kind.phrase().to_owned());
        let expected: Vec<_> = words.chain(others).collect();
        let suggestion = value.as_str().and_then(|text| nearest(text, texts));
        let found = shown(shape, value);
        let message = format!("expected {}, found {found}", listed(&expected));
        self.suggest(FaultKind::WrongValue, pointer, message, suggestion);
    }

    /// Checks against that alternative which was meant.
    fn choose(&mut self, branches: &[Shape<'_>], value: &Json, pointer: &str) {
        let (candidates, others): (Vec<Shape<'_>>, Vec<Shape<'_>>) = branches
            .iter()
            .partition(|branch| branch.takes(Kind::of(value)));
        // All of them words, as an enum's variants are: one list.
        let words: Option<Vec<_>> = candidates.iter().map(|branch| branch.words()).collect();
        if let (Some(words), [first, ..]) = (words, candidates.as_slice()) {
            let mut others: Vec<_> = others.into_iter().flat_map(Shape::kinds).collect();
            others.retain(|kind| *kind != Kind::Null);
            return self.one_of(*first, &words.concat(), &others, value, pointer);
        }
        if let Some(wrong_tag) = wrong_tag(&candidates, value) {
            let pointer = format!("{pointer}/{}", escape(wrong_tag.key));
            return self.one_of(
                wrong_tag.shape,
                &wrong_tag.words,
                &[],
                wrong_tag.value,
                &pointer,
            );
        }
        let reports = candidates.into_iter().map(|branch| {
            let mut walk = Walk {
                extent: self.extent,
                report: Report::default(),
            };
            walk.node(branch, value, pointer);
            walk.report
        });
        if let Some(report) = reports.min_by_key(|report| report.faults.len()) {
            self.report.faults.extend(report.faults);
            self.report.empty.extend(report.empty);
        }
    }
}

/// A key that says which alternative is meant, and says something that is none of them.
struct WrongTag<'a> {
    key: &'a str,
    shape: Shape<'a>,
    words: Vec<&'a Json>,
    value: &'a Json,
}

/// In alternatives told apart by a key (serde's `tag`, such as `driver`): the key, if its word is
/// none of theirs.
fn wrong_tag<'a>(candidates: &[Shape<'a>], value: &'a Json) -> Option<WrongTag<'a>> {
    value.as_object()?.iter().find_map(|(key, value)| {
        let tags: Option<Vec<_>> = candidates
            .iter()
            .map(|shape| shape.with(shape.properties()?.get(key)?).words())
            .collect();
        let words = tags?.concat();
        let shape = *candidates.first()?;
        let wrong = !words.is_empty() && !words.contains(&value);
        wrong.then_some(WrongTag {
            key,
            shape,
            words,
            value,
        })
    })
}

/// A value as it is named in a message, unless it is secret.
fn shown(shape: Shape<'_>, value: &Json) -> String {
    if shape.is_secret() {
        Kind::of(value).phrase().to_owned()
    } else {
        found(value)
    }
}

/// The smallest and the largest number of a Rust type, which schemars names in `format`.
fn range_of(format: &str) -> Option<(f64, f64)> {
    Some(match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "uint8" => (0.0, u8::MAX.into()),
        "uint16" => (0.0, u16::MAX.into()),
        "uint32" => (0.0, u32::MAX.into()),
        "uint" | "uint64" => (0.0, f64::MAX),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "structure_test.rs"]
mod tests;
