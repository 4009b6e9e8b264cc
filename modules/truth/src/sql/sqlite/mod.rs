//! The dialect of SQLite.

pub(crate) mod encode;
mod json;
pub(crate) mod page;
pub(crate) mod table;
pub(crate) mod write;

use nubo_core::{
    field::{Field, FieldType},
    filter::{Path, Test, TextMatch},
    schema::Collection,
    value::Value,
};

use self::encode::{encode, encode_field};
use super::{
    Dialect, Quoted, Statement,
    condition::{Builder, Place, Scalar},
};

/// SQLite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sqlite;

/// A value in the form the database takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Dialect for Sqlite {
    type Argument = Argument;
    type Form = json::Form;
    type Json = json::Json;
    type Item = json::Item;

    const TOMBSTONES: &'static str = "nubo_tombstones";
    const QUEUE: &'static str = "nubo_queue";
    const DEAD_LETTERS: &'static str = "nubo_dead_letters";

    fn push_place(text: &mut String, _: usize) {
        text.push('?');
    }

    fn literal(argument: &Argument) -> String {
        match argument {
            Argument::Null => "NULL".into(),
            Argument::Integer(number) => number.to_string(),
            Argument::Real(number) => format!("{number:e}"),
            Argument::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Argument::Blob(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("x'{hex}'")
            }
        }
    }

    fn argument(_: &FieldType, value: &Value) -> Argument {
        encode(value)
    }

    fn field_argument(field: &Field, value: &Value) -> Argument {
        encode_field(field, value)
    }

    fn integer(number: i64) -> Argument {
        Argument::Integer(number)
    }

    fn text_argument(text: &str) -> Argument {
        Argument::Text(text.to_owned())
    }

    fn table(collection: &Collection) -> String {
        Quoted(&collection.tiers.table).to_string()
    }

    /// SQLite sorts nulls first ascending and last descending, which is what is meant.
    fn direction(_: &Collection, _: usize, descending: bool) -> &'static str {
        if descending { " DESC" } else { "" }
    }

    fn items(column: &str, alias: &str) -> (String, String) {
        (
            format!("json_each({column}) AS {alias}"),
            format!("{alias}.value"),
        )
    }

    /// SQLite's columns hold values of any type, and those of different types differ.
    fn comparable(selected: &str, _: &FieldType, _: json::Form) -> Option<String> {
        Some(selected.to_owned())
    }

    fn operand(form: json::Form, value: &Value) -> Argument {
        json::operand(form, value)
    }

    fn place(builder: &Builder<'_, Self>, path: &Path) -> Place<Self> {
        json::place(builder, path)
    }

    fn among(statement: &mut Statement<Self>, sql: &str, kind: &FieldType, values: &[Value]) {
        statement.push(format_args!("{sql} IN ("));
        statement.join(values, ", ", |statement, value| {
            statement.bind(Self::argument(kind, value));
        });
        statement.push(")");
    }

    fn enqueue(packed: Vec<Vec<u8>>, now: i64) -> Statement<Self> {
        let mut statement = Statement::new(format!(
            "INSERT INTO {} (queued_at, packed) VALUES ",
            Self::QUEUE
        ));
        statement.join(packed, ", ", |statement, packed| {
            statement.push("(");
            statement.bind(Argument::Integer(now));
            statement.push(", ");
            statement.bind(Argument::Blob(packed));
            statement.push(")");
        });
        statement
    }

    fn within(builder: &mut Builder<'_, Self>, scalar: &Scalar<Self>, values: &[&Value]) {
        builder.push(format_args!("{} IN (", scalar.sql));
        builder.bind_all(values.iter().map(|value| json::operand(scalar.form, value)));
        builder.push(")");
    }

    fn text(builder: &mut Builder<'_, Self>, scalar: &str, how: TextMatch, wanted: &str) {
        // SQLite's lower() knows ASCII letters only, which is what is meant.
        let (scalar, wanted) = match how.ignore_case {
            true => (format!("lower({scalar})"), wanted.to_ascii_lowercase()),
            false => (scalar.to_owned(), wanted.to_owned()),
        };
        if how.at_start {
            let length = wanted.chars().count();
            builder.push(format_args!("substr({scalar}, 1, {length}) = "));
            builder.bind(Argument::Text(wanted));
        } else {
            builder.push(format_args!("instr({scalar}, "));
            builder.bind(Argument::Text(wanted));
            builder.push(") > 0");
        }
    }

    fn list(builder: &mut Builder<'_, Self>, json: &json::Json, kind: &FieldType, test: &Test) {
        builder.list(json, kind, test);
    }

    fn json(builder: &mut Builder<'_, Self>, json: &json::Json, test: &Test) {
        builder.json(json, test);
    }
}
