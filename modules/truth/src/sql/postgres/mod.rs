//! The dialect of PostgreSQL 15 and later.
//!
//! Every statement has the same text whatever its values: lists of values are one argument, an
//! array. So it is prepared once for each connection.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod gate;
mod json;
pub(crate) mod others;
pub(crate) mod outbox;
pub(crate) mod room;
pub(crate) mod table;
pub(crate) mod together;
pub(crate) mod types;
pub(crate) mod write;

use std::fmt::Write;

use nubo_core::{
    field::{Field, FieldType},
    filter::{Path, Test, TextMatch},
    schema::Collection,
    value::Value,
};

pub(crate) use self::encode::Argument;
use self::types::{Scalar as Single, Type};
use super::{
    Dialect, Quoted, Statement,
    condition::{Builder, Place, Scalar},
};

/// PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Postgres;

impl Dialect for Postgres {
    type Argument = Argument;
    type Form = json::Form;
    type Json = json::Json;
    type Item = json::Item;

    const TOMBSTONES: &'static str = "nubo.tombstones";
    const QUEUE: &'static str = "nubo.queue";
    const DEAD_LETTERS: &'static str = "nubo.dead_letters";

    fn push_place(text: &mut String, number: usize) {
        // Writing into a string cannot fail.
        let written = write!(text, "${number}");
        debug_assert!(written.is_ok());
    }

    fn literal(argument: &Argument) -> String {
        literal(argument)
    }

    fn argument(kind: &FieldType, value: &Value) -> Argument {
        Argument::new(Type::of(kind), value)
    }

    fn field_argument(field: &Field, value: &Value) -> Argument {
        let kind = Type::of(&field.kind);
        let mut bytes = Vec::new();
        let written = encode::write_field(field, value, &mut bytes);
        Argument {
            kind,
            bytes: written.then_some(bytes),
        }
    }

    fn integer(number: i64) -> Argument {
        Argument::integer(number)
    }

    fn text_argument(text: &str) -> Argument {
        Argument::text(text)
    }

    fn table(collection: &Collection) -> String {
        format!(
            "{}.{}",
            Quoted(&collection.domain),
            Quoted(&collection.tiers.table)
        )
    }

    /// PostgreSQL has nulls last ascending; they go first. Where there are none nothing is said, so
    /// that one index serves both directions.
    fn direction(collection: &Collection, field: usize, descending: bool) -> &'static str {
        match (collection.fields()[field].required, descending) {
            (true, false) => "",
            (true, true) => " DESC",
            (false, false) => " NULLS FIRST",
            (false, true) => " DESC NULLS LAST",
        }
    }

    fn items(column: &str, alias: &str) -> (String, String) {
        (
            format!("unnest({column}) AS {alias} (item)"),
            format!("{alias}.item"),
        )
    }

    fn among(statement: &mut Statement<Self>, sql: &str, kind: &FieldType, values: &[Value]) {
        statement.push(format_args!("{sql} = ANY("));
        statement.bind(Argument::array(Single::of(kind), values));
        statement.push(")");
    }

    fn enqueue(packed: Vec<Vec<u8>>, now: i64) -> Statement<Self> {
        let packed: Vec<Value> = packed.into_iter().map(Value::Bytes).collect();
        let mut statement = Statement::new(format!(
            "INSERT INTO {} (queued_at, packed) SELECT ",
            Self::QUEUE
        ));
        statement.bind(Self::integer(now));
        statement.push(", r.packed FROM unnest(");
        statement.bind(Argument::array(Single::of(&FieldType::Bytes), &packed));
        statement.push(") WITH ORDINALITY AS r (packed, place) ORDER BY r.place");
        statement
    }

    fn comparable(selected: &str, kind: &FieldType, with: json::Form) -> Option<String> {
        json::comparable(selected, kind, with)
    }

    fn operand(form: json::Form, value: &Value) -> Argument {
        json::operand(form, value)
    }

    fn place(builder: &Builder<'_, Self>, path: &Path) -> Place<Self> {
        json::place(builder, path)
    }

    fn within(builder: &mut Builder<'_, Self>, scalar: &Scalar<Self>, values: &[&Value]) {
        builder.push(format_args!("{} = ANY(", scalar.sql));
        builder.bind(json::operands(scalar.form, values));
        builder.push(")");
    }

    fn text(builder: &mut Builder<'_, Self>, scalar: &str, how: TextMatch, wanted: &str) {
        // Under the collation "C" lower() knows ASCII letters only, which is what is meant.
        let (scalar, wanted) = match how.ignore_case {
            true => (
                format!("lower({scalar} COLLATE \"C\")"),
                wanted.to_ascii_lowercase(),
            ),
            false => (scalar.to_owned(), wanted.to_owned()),
        };
        let (function, end) = match how.at_start {
            true => ("starts_with", ")"),
            false => ("strpos", ") > 0"),
        };
        builder.push(format_args!("{function}({scalar}, "));
        builder.bind(Argument::text(&wanted));
        builder.push(end);
    }

    fn list(builder: &mut Builder<'_, Self>, json: &json::Json, kind: &FieldType, test: &Test) {
        builder.list(json, kind, test);
    }

    fn json(builder: &mut Builder<'_, Self>, json: &json::Json, test: &Test) {
        builder.json(json, test);
    }
}

/// An argument as SQL text, in the form that the type reads.
fn literal(argument: &Argument) -> String {
    let Some(bytes) = &argument.bytes else {
        return "NULL".into();
    };
    let text = match argument.kind {
        Type::One(single) => decode::scalar_text(single, bytes),
        Type::Array(single) => decode::array_text(single, bytes),
    };
    let text = text.unwrap_or_default().replace('\'', "''");
    // A backslash means itself in a plain literal.
    format!("'{text}'::{}", argument.kind.name())
}
