//! What a field looks like in the API's documentation: JSON Schema (2020-12), as OpenAPI 3.1 uses
//! it.
//!
//! What a schema of an input allows is read, as far as a schema can tell: references, uniqueness
//! and a few limits (the day, bytes of a text) are beyond it, and are said in words. Schemas of
//! outputs carry no limits, because documents may be older than those. Patterns keep to what every
//! dialect of regular expressions understands.

use serde_json::{Map, Value as Json, json};

use super::{Bound, DefaultValue, Field, FieldType};
use crate::value::Value;

/// Text that every tier can hold: see [`super::text`].
const NO_NUL: &str = r"^[^\u0000]*$";
/// As in HTML Living Standard §4.10.5.1.5, with the length of RFC 5321 for the local part.
const EMAIL: &str = concat!(
    r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}",
    r"@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?",
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$",
);
const ABSOLUTE_URL: &str = "^[A-Za-z][A-Za-z0-9+.-]*://[!-~]+$";
/// Unused bits must be zero (RFC 4648 §3.5).
const BASE64: &str = concat!(
    "^(?:[A-Za-z0-9+/]{4})*",
    "(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
);

/// Which side of the API a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What clients send as a whole.
    Input,
    /// What clients send to change something that exists: nothing is required, nothing has a
    /// default.
    Change,
    /// What the server sends.
    Output,
}

impl FieldType {
    /// The schema of a value that is not null.
    pub fn json_schema(&self, direction: Direction) -> Json {
        let output = direction == Direction::Output;
        match self {
            Self::Text if output => json!({ "type": "string" }),
            Self::Text => json!({ "type": "string", "pattern": NO_NUL }),
            Self::Int if output => json!({ "type": "integer", "format": "int32" }),
            Self::Int => json!({ "type": "integer", "format": "int32",
                "minimum": i32::MIN, "maximum": i32::MAX }),
            Self::BigInt => json!({ "type": ["integer", "string"], "format": "int64",
                "pattern": "^-?[0-9]{1,19}$", "minimum": i64::MIN, "maximum": i64::MAX }),
            Self::Float => json!({ "type": "number", "format": "double" }),
            Self::Decimal if output => json!({ "type": "string", "format": "decimal" }),
            Self::Decimal => json!({ "type": ["string", "number"], "format": "decimal",
                "pattern": decimal_pattern(true) }),
            Self::Bool => json!({ "type": "boolean" }),
            Self::Uuid | Self::Ref(_) => json!({ "type": "string", "format": "uuid" }),
            Self::Timestamp => json!({ "type": "string", "format": "date-time" }),
            Self::Date => json!({ "type": "string", "format": "date" }),
            // The format `duration` knows neither decimals nor a sign.
            Self::Duration => json!({ "type": "string", "pattern": duration_pattern() }),
            Self::Json => json!({ "type": ["object", "array", "string", "number", "boolean"] }),
            Self::Object(fields) => object_schema(fields, direction),
            Self::Ip => json!({ "anyOf": [
                { "type": "string", "format": "ipv4" },
                { "type": "string", "format": "ipv6" },
            ] }),
            Self::Email if output => json!({ "type": "string", "format": "email" }),
            Self::Email => json!({ "type": "string", "format": "email", "maxLength": 254,
                "pattern": EMAIL }),
            Self::Url if output => json!({ "type": "string", "format": "uri" }),
            Self::Url => json!({ "type": "string", "format": "uri", "maxLength": 8192,
                "pattern": ABSOLUTE_URL }),
            Self::Bytes if output => json!({ "type": "string", "contentEncoding": "base64" }),
            Self::Bytes => json!({ "type": "string", "contentEncoding": "base64",
                "pattern": BASE64 }),
            Self::Password => json!({ "type": "string", "format": "password", "maxLength": 1024,
                "pattern": NO_NUL }),
            Self::List(item) => json!({ "type": "array", "items": item.json_schema(direction) }),
        }
    }
}

impl Field {
    /// The schema of the field, with its limits, default, example and description.
    pub fn json_schema(&self, direction: Direction) -> Json {
        let mut schema = self.kind.json_schema(direction);
        if direction != Direction::Output {
            self.describe_length(&mut schema);
        }
        let value = match &self.kind {
            FieldType::List(_) => &mut schema["items"],
            _ => &mut schema,
        };
        self.describe_value(value, direction);
        if let Some(example) = self.example() {
            schema["examples"] = json!([example]);
        }
        if !self.required && !self.system {
            allow_null(&mut schema);
        }
        self.annotate(&mut schema, direction);
        schema
    }

    fn describe_length(&self, schema: &mut Json) {
        let (min, max) = match self.kind {
            FieldType::List(_) => ("minItems", "maxItems"),
            _ => ("minLength", "maxLength"),
        };
        for (key, length) in [(min, self.limits.min_length), (max, self.limits.max_length)] {
            if let Some(length) = length {
                schema[key] = match self.kind {
                    // Three bytes are four characters of base64.
                    FieldType::Bytes => length.div_ceil(3).saturating_mul(4).into(),
                    _ => length.into(),
                };
            }
        }
    }

    /// What holds for the value, or for each item of a list.
    fn describe_value(&self, schema: &mut Json, direction: Direction) {
        let Json::Object(entries) = schema else {
            return;
        };
        let kind = self.item_kind();
        if self.system && *kind == FieldType::BigInt {
            // Revisions are microseconds, which JSON numbers hold.
            entries.insert("type".into(), "integer".into());
            entries.shift_remove("pattern");
            entries.insert("minimum".into(), 0.into());
            entries.shift_remove("maximum");
        }
        if direction != Direction::Output {
            for (key, bound) in [("minimum", &self.limits.min), ("maximum", &self.limits.max)] {
                if let Some(Bound::Fixed(value)) = bound
                    && let Some(number) = number(value)
                {
                    entries.insert(key.into(), number);
                }
            }
            if *kind == FieldType::Decimal && self.is_never_negative() {
                entries.insert("pattern".into(), decimal_pattern(false).into());
            }
            if let Some(pattern) = self.portable_pattern() {
                entries.insert("pattern".into(), pattern.into());
            }
        }
        if !self.limits.choices.is_empty() {
            self.describe_choices(entries, direction);
        }
    }

    /// Outputs have the values alone; inputs also their names, except in lists.
    fn describe_choices(&self, entries: &mut Map<String, Json>, direction: Direction) {
        let kind = self.item_kind();
        let choices = &self.limits.choices;
        let mut values: Vec<Json> = choices.iter().map(|c| to_json(kind, &c.value)).collect();
        let names: Vec<&str> = choices.iter().filter_map(|c| c.name.as_deref()).collect();
        let named = names.len() == choices.len();
        let by_name = direction != Direction::Output && !matches!(self.kind, FieldType::List(_));
        for key in [
            "format",
            "minimum",
            "maximum",
            "pattern",
            "maxLength",
            "minLength",
        ] {
            entries.shift_remove(key);
        }
        if by_name && !names.is_empty() {
            for name in names {
                if !values.iter().any(|value| value == name) {
                    values.push(name.into());
                }
            }
            if let Some(kind) = entries.get_mut("type") {
                add_type(kind, "string");
            }
        } else if named {
            // Understood by generators of clients.
            entries.insert("x-enum-varnames".into(), json!(names));
        }
        entries.insert("enum".into(), values.into());
    }

    fn annotate(&self, schema: &mut Json, direction: Direction) {
        let description = self.sentences(direction).join(" ");
        if !description.is_empty() {
            schema["description"] = description.into();
        }
        if let (Some(DefaultValue::Literal(value)), Direction::Input) = (&self.default, direction) {
            schema["default"] = to_json(&self.kind, value);
        }
        if (self.kind == FieldType::Password || self.write_only) && direction != Direction::Output {
            schema["writeOnly"] = true.into();
        }
        if self.system && self.name != "id" {
            schema["readOnly"] = true.into();
        }
    }

    fn sentences(&self, direction: Direction) -> Vec<String> {
        let input = direction != Direction::Output;
        let mut sentences: Vec<String> =
            self.description.iter().map(|text| sentence(text)).collect();
        let named: Vec<String> = self
            .limits
            .choices
            .iter()
            .filter_map(|choice| Some(format!("`{:?}` {}", choice.value, choice.name.as_ref()?)))
            .collect();
        if !named.is_empty() {
            let or_name = match input && !matches!(self.kind, FieldType::List(_)) {
                true => "; the names are accepted too",
                false => "",
            };
            sentences.push(format!("Values: {}{or_name}.", named.join(", ")));
        }
        if input {
            sentences.extend(self.limits_in_words());
            sentences.extend(match &self.default {
                _ if direction == Direction::Change => None,
                Some(DefaultValue::Now) => Some("Default: the present.".to_owned()),
                Some(DefaultValue::Uuid) => Some("Default: a new UUID.".to_owned()),
                Some(DefaultValue::AuthId) => Some("Default: the account that asks.".to_owned()),
                _ => None,
            });
            if self.stamped {
                sentences.push("Becomes the present at every change.".to_owned());
            }
        }
        if self.unique {
            sentences.push("Unique.".to_owned());
        }
        if self.immutable && direction != Direction::Change {
            sentences.push("Cannot be changed after creation.".to_owned());
        }
        sentences
    }

    /// What the keywords of JSON Schema cannot say.
    fn limits_in_words(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        match self.item_kind() {
            FieldType::BigInt if !self.system => {
                sentences.push("64 bits; as text where a JSON number would lose digits.".to_owned())
            }
            FieldType::Decimal => sentences.push("At most 28 digits; exact as text.".to_owned()),
            FieldType::Json => {
                sentences.push("Any JSON, at most 64 levels deep, without U+0000.".to_owned());
            }
            FieldType::Duration => {
                sentences.push("ISO 8601, without years and months.".to_owned());
            }
            FieldType::Password => sentences.push("At most 1024 bytes.".to_owned()),
            _ => {}
        }
        let in_words = |bound: &Option<Bound>| match bound {
            Some(Bound::Fixed(value)) if number(value).is_none() || is_decimal(value) => {
                Some(format!("{value:?}").replace('"', ""))
            }
            Some(Bound::YearsFromToday(years)) if *years < 0 => {
                Some(format!("{} years ago", -i64::from(*years)))
            }
            Some(Bound::YearsFromToday(years)) => Some(format!("{years} years from today")),
            _ => None,
        };
        sentences.extend(
            match (in_words(&self.limits.min), in_words(&self.limits.max)) {
                (Some(min), Some(max)) => Some(format!("From {min} to {max}.")),
                (Some(min), None) => Some(format!("Not before {min}.")),
                (None, Some(max)) => Some(format!("Not after {max}.")),
                (None, None) => None,
            },
        );
        if let (Some(pattern), None) = (&self.limits.pattern, self.portable_pattern()) {
            sentences.push(format!("Matches `{}`.", pattern.as_str()));
        }
        if self.kind == FieldType::Bytes {
            sentences.extend(match (self.limits.min_length, self.limits.max_length) {
                (Some(min), Some(max)) => Some(format!("From {min} to {max} bytes.")),
                (Some(min), None) => Some(format!("At least {min} bytes.")),
                (None, Some(max)) => Some(format!("At most {max} bytes.")),
                (None, None) => None,
            });
        }
        sentences
    }

    /// The field's pattern, where other dialects of regular expressions understand it as well.
    fn portable_pattern(&self) -> Option<&str> {
        let pattern = self.limits.pattern.as_ref()?.as_str();
        let groups = pattern.matches("(?").count() - pattern.matches("(?:").count();
        let foreign = [
            r"\A", r"\z", r"\p", r"\P", r"\x{", r"\u", "[[", "&&", "--", "~~",
        ];
        (groups == 0 && !foreign.iter().any(|part| pattern.contains(part))).then_some(pattern)
    }

    pub(super) fn item_kind(&self) -> &FieldType {
        match &self.kind {
            FieldType::List(item) => item,
            kind => kind,
        }
    }

    fn is_never_negative(&self) -> bool {
        matches!(&self.limits.min, Some(Bound::Fixed(Value::Decimal(min))) if !min.is_sign_negative())
    }
}

/// The schema of an object made of these fields.
pub(crate) fn object_schema(fields: &[Field], direction: Direction) -> Json {
    let side = |field: &&Field| match direction {
        Direction::Input | Direction::Change => field.is_accepted(),
        Direction::Output => field.is_sent(),
    };
    let properties: Map<String, Json> = fields
        .iter()
        .filter(side)
        .map(|field| (field.name.clone(), field.json_schema(direction)))
        .collect();
    let required: Vec<&str> = fields
        .iter()
        .filter(side)
        .filter(|field| match direction {
            Direction::Input => field.required && field.default.is_none(),
            Direction::Change => false,
            Direction::Output => true,
        })
        .map(|field| field.name.as_str())
        .collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// Lets a schema accept null as well.
pub fn allow_null(schema: &mut Json) {
    let Json::Object(entries) = schema else {
        return;
    };
    if let Some(Json::Array(kinds)) = entries.get_mut("anyOf") {
        kinds.push(json!({ "type": "null" }));
    }
    if let Some(kind) = entries.get_mut("type") {
        add_type(kind, "null");
        if kind.as_array().is_some_and(|kinds| kinds.len() == 6) {
            // Anything at all.
            entries.shift_remove("type");
        }
    }
    if let Some(Json::Array(values)) = entries.get_mut("enum")
        && !values.contains(&Json::Null)
    {
        values.push(Json::Null);
    }
}

fn add_type(kinds: &mut Json, another: &str) {
    match kinds {
        Json::String(kind) if kind != another => *kinds = json!([kind, another]),
        Json::Array(list) if !list.iter().any(|kind| kind == another) => list.push(another.into()),
        _ => {}
    }
}

/// Digits before and behind the point, 28 at most; a few of the ways to share them.
fn decimal_pattern(signed: bool) -> String {
    let sign = if signed { "-?" } else { "" };
    let shares = [(20, 8), (14, 14), (10, 18)]
        .map(|(whole, decimals)| format!(r"[0-9]{{1,{whole}}}\.[0-9]{{1,{decimals}}}"));
    format!("^{sign}(?:[0-9]{{1,28}}|{})$", shares.join("|"))
}

/// At least one part, each at most once, in their order; only seconds have decimals.
fn duration_pattern() -> String {
    let (days, part) = ("[0-9]{1,6}", "[0-9]{1,9}");
    let seconds = format!(r"{part}(?:\.{part})?S");
    let minutes = format!("{part}M(?:{seconds})?");
    let clock = format!("T(?:{part}H(?:{part}M)?(?:{seconds})?|{minutes}|{seconds})");
    format!("^-?P(?:(?:{days}W(?:{days}D)?|{days}D)(?:{clock})?|{clock})$")
}

fn is_decimal(value: &Value) -> bool {
    matches!(value, Value::Decimal(_))
}

/// A bound as a JSON number, whatever its type is sent as.
fn number(value: &Value) -> Option<Json> {
    match value {
        Value::Int(number) => Some((*number).into()),
        Value::Float(number) => Some((*number).into()),
        Value::Decimal(number) => serde_json::from_str(&number.to_string()).ok(),
        _ => None,
    }
}

/// As a sentence, so that others can follow.
fn sentence(text: &str) -> String {
    let text = text.trim();
    match text.ends_with(['.', '!', '?', '…', ':']) {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

/// A value as JSON, as it is sent.
pub(crate) fn to_json(kind: &FieldType, value: &Value) -> Json {
    let mut out = Vec::new();
    kind.write_json(value, &mut out);
    serde_json::from_slice(&out).unwrap_or_default()
}
