//! Tests of one SQL value.

use nubo_core::{
    field::FieldType,
    filter::{Comparison, Test, TextMatch},
    value::Value,
};

use super::Builder;
use crate::sql::{
    Argument,
    encode::{DECIMAL_COLLATION, NUMBER_COLLATION, encode, number_text, text_in_json},
};

/// An SQL expression of one value, and the form that operands must have beside it.
#[derive(Clone)]
pub(super) struct Scalar {
    pub sql: String,
    form: Form,
}

/// How a value is held at the place where it stands.
#[derive(Clone, Copy)]
enum Form {
    /// As a column holds it.
    Column,
    /// As JSON holds it.
    Json,
    /// The text of a JSON number: SQLite reads decimals to fifteen digits only, so that numbers in
    /// JSON are compared by their text, under a collation that knows numbers.
    Number,
}

impl Scalar {
    pub fn nothing() -> Self {
        Self::column("NULL".into())
    }

    /// A column.
    pub fn column(sql: String) -> Self {
        Self {
            sql,
            form: Form::Column,
        }
    }

    /// The value in a typed object at a path of declared names, which hold no quotes.
    pub fn inside(kind: &FieldType, text: &str, rest: &str) -> Self {
        let rest = rest.replace('\'', "''");
        match kind {
            FieldType::Float => Self::number(format!("nullif({text} -> '${rest}', 'null')")),
            kind => Self::collated(kind, format!("json_extract({text}, '${rest}')")),
        }
    }

    /// The item of a typed list that `json_each` yields.
    pub fn item(kind: &FieldType, text: &str, alias: &str) -> Self {
        match kind {
            FieldType::Float => Self::number(format!("nullif({text} -> {alias}.fullkey, 'null')")),
            kind => Self::collated(kind, format!("{alias}.value")),
        }
    }

    /// A value in untyped json that `json_each` yields, to be compared with this one.
    pub fn untyped(operand: &Value, text: &str, alias: &str) -> Self {
        match operand {
            Value::Int(_) | Value::Float(_) => Self::item(&FieldType::Float, text, alias),
            _ => Self::item(&FieldType::Json, text, alias),
        }
    }

    fn number(text: String) -> Self {
        Self {
            sql: format!("({text}) COLLATE {NUMBER_COLLATION}"),
            form: Form::Number,
        }
    }

    fn collated(kind: &FieldType, sql: String) -> Self {
        Self {
            sql: match kind {
                FieldType::Decimal => format!("({sql}) COLLATE {DECIMAL_COLLATION}"),
                _ => sql,
            },
            form: Form::Json,
        }
    }

    fn argument(&self, value: &Value) -> Argument {
        match (self.form, value) {
            (Form::Number, Value::Int(_) | Value::Float(_)) => Argument::Text(number_text(value)),
            (Form::Json, Value::Bytes(_)) => Argument::Text(text_in_json(value)),
            (_, value) => encode(value),
        }
    }
}

impl Builder<'_> {
    pub(super) fn scalar(&mut self, scalar: &Scalar, test: &Test) {
        let sql = &scalar.sql;
        match test {
            Test::Equal(Value::Null) => self.push(format_args!("{sql} IS NULL")),
            Test::Equal(value) => {
                self.push(format_args!("{sql} = "));
                self.bind(scalar.argument(value));
            }
            Test::In(values) => self.within(scalar, values),
            Test::InSelect(select) => self.select(sql, None, select),
            Test::Exists => self.push(format_args!("{sql} IS NOT NULL")),
            Test::Compare(comparison, value) => {
                self.push(format_args!("{sql} {} ", symbol(*comparison)));
                self.bind(scalar.argument(value));
            }
            Test::Text(how, value) => self.text(sql, *how, value),
            Test::HasAll(_) | Test::Size(_) | Test::ElemMatch(_) => self.push("FALSE"),
        }
    }

    /// `IN` with nulls asked for apart, since SQL's `IN` does not find them.
    fn within(&mut self, scalar: &Scalar, values: &[Value]) {
        let present: Vec<&Value> = values.iter().filter(|value| !value.is_null()).collect();
        if present.len() < values.len() {
            self.push(format_args!("{} IS NULL OR ", scalar.sql));
        }
        if present.is_empty() {
            return self.push("FALSE");
        }
        self.push(format_args!("{} IN (", scalar.sql));
        self.statement.join(present, ", ", |statement, value| {
            statement.bind(scalar.argument(value));
        });
        self.push(")");
    }

    fn text(&mut self, scalar: &str, how: TextMatch, value: &Value) {
        let Value::Text(wanted) = value else {
            return self.push("FALSE");
        };
        // SQLite's lower() knows ASCII letters only, which is what is meant.
        let (scalar, wanted) = match how.ignore_case {
            true => (format!("lower({scalar})"), wanted.to_ascii_lowercase()),
            false => (scalar.to_owned(), wanted.clone()),
        };
        if how.at_start {
            self.push(format_args!(
                "substr({scalar}, 1, {}) = ",
                wanted.chars().count()
            ));
            self.bind(Argument::Text(wanted));
        } else {
            self.push(format_args!("instr({scalar}, "));
            self.bind(Argument::Text(wanted));
            self.push(") > 0");
        }
    }
}

/// SQL's operator for a comparison.
fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}
