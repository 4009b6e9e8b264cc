//! Tests of one SQL value.

use nubo_core::{
    filter::{Comparison, Test},
    value::Value,
};

use super::Builder;
use crate::sql::Dialect;

/// An SQL expression of one value, and the form that operands must have beside it.
#[derive(Clone)]
pub(crate) struct Scalar<D: Dialect> {
    pub sql: String,
    pub form: D::Form,
}

impl<D: Dialect> Builder<'_, D> {
    pub(in crate::sql) fn scalar(&mut self, scalar: &Scalar<D>, test: &Test) {
        let sql = &scalar.sql;
        match test {
            Test::Equal(Value::Null) => self.push(format_args!("{sql} IS NULL")),
            Test::Equal(value) => {
                self.push(format_args!("{sql} = "));
                self.bind(D::operand(scalar.form, value));
            }
            Test::In(values) => self.within(scalar, values),
            Test::InSelect(select) => self.select(scalar, None, select),
            Test::Exists => self.push(format_args!("{sql} IS NOT NULL")),
            Test::Compare(comparison, value) => {
                self.push(format_args!("{sql} {} ", symbol(*comparison)));
                self.bind(D::operand(scalar.form, value));
            }
            Test::Text(how, Value::Text(wanted)) => D::text(self, sql, *how, wanted),
            Test::Text(..) | Test::HasAll(_) | Test::Size(_) | Test::ElemMatch(_) => {
                self.push("FALSE");
            }
        }
    }

    /// One of several, with nulls asked for apart, since SQL does not find them.
    fn within(&mut self, scalar: &Scalar<D>, values: &[Value]) {
        let present: Vec<&Value> = values.iter().filter(|value| !value.is_null()).collect();
        if present.len() < values.len() {
            self.push(format_args!("{} IS NULL OR ", scalar.sql));
        }
        if present.is_empty() {
            return self.push("FALSE");
        }
        D::within(self, scalar, &present);
    }
}

/// SQL's operator for a comparison.
pub(crate) fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// Those that are not null.
pub(crate) fn present(values: &[Value]) -> Vec<Value> {
    values
        .iter()
        .filter(|value| !value.is_null())
        .cloned()
        .collect()
}
