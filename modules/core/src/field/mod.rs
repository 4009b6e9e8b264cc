//! Fields: their types, what they accept, and how their values are sent.
//!
//! [`FieldType`] is the list of types; each family has a file of its own that says what it reads
//! and what it refuses. A [`Field`] is a type with its options. Start with [`Field::read`], the way
//! of every value into the system.

mod describe;
mod example;
mod limits;
mod moment;
mod net;
mod number;
mod structure;
mod text;

use std::borrow::Cow;

use serde_json::Value as Json;

pub use describe::{Direction, allow_null};
pub(crate) use describe::{object_schema, to_json};
pub use limits::{Bound, Choice, Limits};
pub(crate) use structure::unknown_field;

use crate::{
    declare::{Normalize, OnDelete},
    schema::CollectionId,
    value::Value,
    violation::{Pointer, Violation, kind_of},
};

/// The type of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    Text,
    /// 32 bit, signed.
    Int,
    /// 64 bit, signed.
    BigInt,
    /// 64 bit IEEE 754, finite.
    Float,
    /// At most 28 significant digits.
    Decimal,
    Bool,
    Uuid,
    /// The id of a document of another collection.
    Ref(Reference),
    Timestamp,
    Date,
    Duration,
    /// Any JSON value.
    Json,
    /// Typed fields inside.
    Object(Vec<Field>),
    Ip,
    Email,
    Url,
    Bytes,
    /// Written in clear, stored as a hash, never read.
    Password,
    List(Box<FieldType>),
}

/// Where a reference points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The collection of the document that is meant.
    pub collection: CollectionId,
    /// What happens here when that document is deleted.
    pub on_delete: OnDelete,
}

/// Which form an input has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// JSON, where text is text and a number is a number.
    Json,
    /// A query parameter or a cell of a table, where everything is text and is read as what the
    /// field expects.
    Plain,
}

impl FieldType {
    /// Words of all types, as collection files write them.
    pub const WORDS: [&'static str; 19] = [
        "text",
        "int",
        "bigint",
        "float",
        "decimal",
        "bool",
        "uuid",
        "ref",
        "timestamp",
        "date",
        "duration",
        "json",
        "object",
        "ip",
        "email",
        "url",
        "bytes",
        "password",
        "T[]",
    ];

    /// The word for the type.
    pub fn word(&self) -> String {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Float => "float",
            Self::Decimal => "decimal",
            Self::Bool => "bool",
            Self::Uuid => "uuid",
            Self::Ref(_) => "ref",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Duration => "duration",
            Self::Json => "json",
            Self::Object(_) => "object",
            Self::Ip => "ip",
            Self::Email => "email",
            Self::Url => "url",
            Self::Bytes => "bytes",
            Self::Password => "password",
            Self::List(item) => return format!("{}[]", item.word()),
        }
        .to_owned()
    }

    /// Whether values have an order, so that ranges and sorting make sense.
    pub const fn is_ordered(&self) -> bool {
        !matches!(
            self,
            Self::Json | Self::Object(_) | Self::List(_) | Self::Ip | Self::Bytes | Self::Password
        )
    }

    /// Whether values are text, so that `$startsWith` and its like make sense.
    pub const fn is_textual(&self) -> bool {
        matches!(self, Self::Text | Self::Email | Self::Url)
    }

    /// Whether `$inc` and `$mul` make sense.
    pub const fn is_numeric(&self) -> bool {
        matches!(self, Self::Int | Self::BigInt | Self::Float | Self::Decimal)
    }

    /// Whether a value of this type may stand where one of `other` is expected.
    pub fn fits(&self, other: &Self) -> bool {
        use FieldType as T;
        match (self, other) {
            (T::Uuid | T::Ref(_), T::Uuid | T::Ref(_)) => true,
            (T::Int, T::BigInt | T::Float) => true,
            (a, b) if a.is_textual() => b.is_textual(),
            (T::List(a), T::List(b)) => a.fits(b),
            (_, T::Json) => !matches!(self, T::Password),
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }

    /// A value of a type that fits, as a value of this type: whole numbers become floats.
    pub fn adapt(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Float, Value::Int(number)) => Value::Float(number as f64),
            (Self::List(item), Value::List(items)) => {
                Value::List(items.into_iter().map(|value| item.adapt(value)).collect())
            }
            (_, value) => value,
        }
    }

    /// Reads a value. Null is refused here; [`Field::read`] knows what null means.
    pub fn read(
        &self,
        json: &Json,
        source: Source,
        at: &mut Pointer,
        violations: &mut Vec<Violation>,
    ) -> Option<Value> {
        let result = match self {
            Self::Text => text::read_text(json),
            Self::Email => text::read_email(json),
            Self::Url => text::read_url(json),
            Self::Password => text::read_password(json),
            Self::Bool => read_bool(json, source),
            Self::Int => number::read_int(json, source, i64::from(i32::MIN), i64::from(i32::MAX)),
            Self::BigInt => number::read_int(json, source, i64::MIN, i64::MAX),
            Self::Float => number::read_float(json, source),
            Self::Decimal => number::read_decimal(json),
            Self::Uuid | Self::Ref(_) => text::read_uuid(json),
            Self::Timestamp => moment::read_timestamp(json),
            Self::Date => moment::read_date(json),
            Self::Duration => moment::read_duration(json),
            Self::Ip => net::read_ip(json),
            Self::Bytes => net::read_bytes(json),
            Self::Json => structure::read_json(json, source),
            Self::Object(fields) => {
                return structure::read_object(fields, json, source, at, violations);
            }
            Self::List(item) => return structure::read_list(item, json, source, at, violations),
        };
        result
            .map_err(|refusal| violations.push(refusal.at(at)))
            .ok()
    }

    /// Appends a value of this type as it is sent.
    pub fn write_json(&self, value: &Value, out: &mut Vec<u8>) {
        match (self, value) {
            (Self::Password, _) => out.extend_from_slice(b"null"),
            (Self::Object(fields), Value::Object(values)) => {
                structure::write_object(fields, values, out);
            }
            (Self::List(item), Value::List(items)) => {
                out.push(b'[');
                for (index, value) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write_json(value, out);
                }
                out.push(b']');
            }
            (_, scalar) => scalar.write_scalar_json(out),
        }
    }
}

/// A field of a collection or of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub kind: FieldType,
    pub required: bool,
    pub unique: bool,
    pub default: Option<DefaultValue>,
    pub limits: Limits,
    pub normalize: Vec<Normalize>,
    pub immutable: bool,
    pub hidden: bool,
    pub write_only: bool,
    /// Becomes the current time at every change.
    pub stamped: bool,
    pub searchable: bool,
    pub sensitive: bool,
    pub description: Option<String>,
    /// What it was called before.
    pub renamed_from: Option<String>,
    /// `id`, `created_at`, `updated_at` or `_rev`.
    pub system: bool,
}

/// What a new document gets where it brings no value.
#[derive(Debug, Clone, PartialEq)]
pub enum DefaultValue {
    Literal(Value),
    /// `$now`
    Now,
    /// `$uuid`
    Uuid,
    /// `$auth.id`
    AuthId,
}

impl Field {
    /// Appends a value of it as it is sent.
    pub fn write_json(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            // Microseconds since 1970 stay below 2⁵³ until the year 2255.
            Value::Int(number) if self.system => {
                out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
            }
            value => self.kind.write_json(value, out),
        }
    }

    /// A field without options.
    pub fn plain(name: &str, kind: FieldType) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: false,
            unique: false,
            default: None,
            limits: Limits::default(),
            normalize: Vec::new(),
            immutable: false,
            hidden: false,
            write_only: false,
            stamped: false,
            searchable: false,
            sensitive: false,
            description: None,
            renamed_from: None,
            system: false,
        }
    }

    /// Whether the field is part of what is sent.
    pub fn is_sent(&self) -> bool {
        !self.hidden && !self.write_only && self.kind != FieldType::Password
    }

    /// Whether clients may give the field a value.
    pub fn is_accepted(&self) -> bool {
        !self.hidden && !self.system
    }

    /// Whether filters, sorts and projections may name the field.
    pub fn is_queryable(&self) -> bool {
        self.is_sent()
    }

    /// Reads, normalises and checks a value. Null is a value; whether it may stay so is for
    /// whoever knows the whole document.
    pub fn read(
        &self,
        json: &Json,
        source: Source,
        at: &mut Pointer,
        violations: &mut Vec<Violation>,
    ) -> Option<Value> {
        if json.is_null() {
            return Some(Value::Null);
        }
        let before = violations.len();
        let value = self.read_as(&self.kind, json, source, at, violations);
        if value.is_none() && !self.limits.choices.is_empty() {
            // Which values there are says more than which type they have.
            violations.truncate(before);
            violations.push(self.limits.not_a_choice(at));
        }
        let value = value?;
        self.check(&value, at, violations);
        (violations.len() == before).then_some(value)
    }

    /// Reads what is a value of the field or, as `kind` says, an item of it: names of the
    /// enumeration become their values and text is normalised, so that what is checked afterwards
    /// is what will be stored. Limits are not checked.
    pub fn read_as(
        &self,
        kind: &FieldType,
        json: &Json,
        source: Source,
        at: &mut Pointer,
        violations: &mut Vec<Violation>,
    ) -> Option<Value> {
        if let (FieldType::List(item), Json::Array(items)) = (kind, json)
            && (self.has_names() || !self.normalize.is_empty())
        {
            let prepared = items
                .iter()
                .map(|json| self.prepared(item, json).into_owned());
            let prepared = prepared.collect();
            return kind.read(&Json::Array(prepared), source, at, violations);
        }
        kind.read(&self.prepared(kind, json), source, at, violations)
    }

    fn has_names(&self) -> bool {
        self.limits
            .choices
            .iter()
            .any(|choice| choice.name.is_some())
    }

    /// A name as the value that it stands for, and text in its normal form.
    fn prepared<'a>(&self, kind: &FieldType, json: &'a Json) -> Cow<'a, Json> {
        match self.limits.choice_named(json) {
            Some(choice) if *kind != FieldType::Json => Cow::Owned(to_json(kind, &choice.value)),
            _ if kind.is_textual() => text::normalized(&self.normalize, json),
            _ => Cow::Borrowed(json),
        }
    }

    /// Checks a value that has the right type against the field's options.
    pub fn check(&self, value: &Value, at: &mut Pointer, violations: &mut Vec<Violation>) {
        match value {
            Value::Null if self.required => {
                violations.push(at.violation("required", "is required"));
            }
            Value::Null => {}
            // A password's limits are for what people choose, not for its hash.
            Value::Text(_) if self.kind == FieldType::Password => {}
            value => {
                self.limits.check(value, at, violations);
                if let (FieldType::Object(fields), Value::Object(values)) = (&self.kind, value) {
                    for (field, value) in fields.iter().zip(values) {
                        at.at(&field.name, |at| field.check(value, at, violations));
                    }
                }
            }
        }
    }
}

/// A value that is refused: code and message, the place still missing.
struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn kind(expected: &str, found: &Json) -> Self {
        Self::new(
            "wrong_type",
            format!("must be {expected}, not {}", kind_of(found)),
        )
    }

    fn at(self, at: &Pointer) -> Violation {
        at.violation(self.code, self.message)
    }
}

type Reading = Result<Value, Refusal>;

fn read_bool(json: &Json, source: Source) -> Reading {
    match (json, source) {
        (Json::Bool(value), _) => Ok(Value::Bool(*value)),
        (Json::String(text), Source::Plain) if text == "true" => Ok(Value::Bool(true)),
        (Json::String(text), Source::Plain) if text == "false" => Ok(Value::Bool(false)),
        _ => Err(Refusal::kind("true or false", json)),
    }
}
