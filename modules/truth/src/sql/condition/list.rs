//! Tests of typed lists and of untyped json, where lists may stand anywhere. SQLite's `json_each`
//! yields the items of a list, and a value that is no list as its only item.

use nubo_core::{
    field::FieldType,
    filter::{Expr, Test},
    value::Value,
};

use super::{Builder, Item, Json, scalar::Scalar};
use crate::sql::{Argument, encode::whole_list};

/// Closes what [`Builder::each`] opens. The limit changes nothing in the meaning of EXISTS, but
/// keeps SQLite from making a join of it: SQLite 3.51 then lets OFFSET count a document once for
/// each item that passes.
const END_OF_EACH: &str = " LIMIT 1)";

impl Builder<'_> {
    /// A test of a typed list: some item passes, or the list as a whole does.
    pub(super) fn list(&mut self, json: &Json, kind: &FieldType, test: &Test) {
        let FieldType::List(item_kind) = kind else {
            return self.push("FALSE");
        };
        match test {
            // Untyped items compare as they do anywhere in json.
            test if **item_kind == FieldType::Json => self.json(json, test),
            Test::Equal(Value::Null) => {
                self.extract(json);
                self.push(" IS NULL");
            }
            Test::Exists => {
                self.extract(json);
                self.push(" IS NOT NULL");
            }
            Test::Equal(Value::List(items)) => {
                self.extract(json);
                self.push(" = ");
                self.bind(whole_list(items));
            }
            Test::Size(size) => self.size(json, *size),
            // No item is null; what `json_each` makes of a list that is not there would be.
            Test::HasAll(values) if values.is_empty() || values.iter().any(Value::is_null) => {
                self.push("FALSE");
            }
            Test::HasAll(values) => self.joined(values, "AND", &mut |builder, value| {
                builder.some_item(json, item_kind, &Test::Equal(value.clone()));
            }),
            Test::In(values) if values.iter().any(Value::is_null) => {
                self.extract(json);
                self.push(" IS NULL OR ");
                self.list(json, kind, &Test::In(present(values)));
            }
            Test::ElemMatch(inner) => self.elem_match(json, inner),
            test => self.some_item(json, item_kind, test),
        }
    }

    fn some_item(&mut self, json: &Json, item_kind: &FieldType, test: &Test) {
        let alias = self.alias();
        self.each(json, &alias);
        self.scalar(&Scalar::item(item_kind, &json.text, &alias), test);
        self.push(END_OF_EACH);
    }

    fn elem_match(&mut self, json: &Json, inner: &Expr) {
        let alias = self.alias();
        self.is_array(json);
        self.push(" AND ");
        self.each(json, &alias);
        let before = self.item.replace(Item {
            alias,
            source: json.clone(),
        });
        self.expr(inner);
        self.item = before;
        self.push(END_OF_EACH);
    }

    /// Opens a sub-query over the items at a place.
    fn each(&mut self, json: &Json, alias: &str) {
        self.push("EXISTS (SELECT 1 FROM json_each(");
        self.json_place(json);
        self.push(format_args!(") {alias} WHERE "));
    }

    fn is_array(&mut self, json: &Json) {
        self.json_type(json);
        self.push(" = 'array'");
    }

    fn json_type(&mut self, json: &Json) {
        self.push("json_type(");
        self.json_place(json);
        self.push(")");
    }

    /// The two arguments of a JSON function: text and path.
    fn json_place(&mut self, json: &Json) {
        self.push(format_args!("{}, ", json.text));
        match &json.base {
            Some(base) => {
                self.push(format_args!("{base} || "));
                self.bind(Argument::Text(json.rest.clone()));
            }
            None => self.bind(Argument::Text(format!("${}", json.rest))),
        }
    }

    /// What stands at a place; the column itself where the place is all of it.
    fn extract(&mut self, json: &Json) {
        if json.base.is_none() && json.rest.is_empty() {
            return self.push(&json.text);
        }
        self.push("json_extract(");
        self.json_place(json);
        self.push(")");
    }

    fn size(&mut self, json: &Json, size: u64) {
        self.is_array(json);
        self.push(" AND json_array_length(");
        self.json_place(json);
        self.push(") = ");
        self.bind(Argument::Integer(i64::try_from(size).unwrap_or(i64::MAX)));
    }

    /// A test of untyped json (or the presence of an object): values of one JSON type compare, and
    /// a list passes where an item does.
    pub(super) fn json(&mut self, json: &Json, test: &Test) {
        match test {
            Test::Exists => {
                self.push("coalesce(");
                self.json_type(json);
                self.push(", 'null') <> 'null'");
            }
            Test::Equal(Value::Null) => self.json_null(json),
            Test::In(values) if values.iter().any(Value::is_null) => {
                self.json_null(json);
                self.push(" OR ");
                self.json(json, &Test::In(present(values)));
            }
            Test::Size(size) => self.size(json, *size),
            Test::ElemMatch(inner) => self.elem_match(json, inner),
            Test::HasAll(values) if values.is_empty() => self.push("FALSE"),
            Test::HasAll(values) => {
                self.is_array(json);
                self.push(" AND (");
                self.joined(values, "AND", &mut |builder, value| {
                    builder.json_item(json, &Test::Equal(value.clone()));
                });
                self.push(")");
            }
            test => {
                self.json_type(json);
                self.push(" <> 'object' AND ");
                self.json_item(json, test);
            }
        }
    }

    /// No value there, or a list with a null in it.
    fn json_null(&mut self, json: &Json) {
        self.push("coalesce(");
        self.json_type(json);
        self.push(", 'null') = 'null' OR (");
        self.is_array(json);
        self.push(" AND ");
        let alias = self.alias();
        self.each(json, &alias);
        self.push(format_args!("{alias}.type = 'null'{END_OF_EACH})"));
    }

    /// Some value passes: the items of a list, or the value itself, which `json_each` yields alike.
    fn json_item(&mut self, json: &Json, test: &Test) {
        let alias = self.alias();
        self.each(json, &alias);
        match test {
            Test::Equal(Value::Null) => self.push(format_args!("{alias}.type = 'null'")),
            Test::In(values) => self.json_within(json, &alias, values),
            Test::Equal(value) | Test::Compare(_, value) | Test::Text(_, value) => {
                self.of_type(&alias, value);
                self.scalar(&Scalar::untyped(value, &json.text, &alias), test);
            }
            // A sub-query's values are texts: ids, as a rule.
            test => {
                self.push(format_args!("{alias}.type = 'text' AND "));
                self.scalar(&Scalar::item(&FieldType::Json, &json.text, &alias), test);
            }
        }
        self.push(END_OF_EACH);
    }

    /// One of several values: those of one type together.
    fn json_within(&mut self, json: &Json, alias: &str, values: &[Value]) {
        let kinds: [fn(&Value) -> bool; 3] = [
            |value| matches!(value, Value::Int(_) | Value::Float(_)),
            |value| matches!(value, Value::Bool(_)),
            |value| matches!(value, Value::Text(_)),
        ];
        self.push("(FALSE");
        for kind in kinds {
            let alike: Vec<Value> = values.iter().filter(|value| kind(value)).cloned().collect();
            let Some(first) = alike.first() else { continue };
            self.push(" OR (");
            self.of_type(alias, first);
            let scalar = Scalar::untyped(first, &json.text, alias);
            self.scalar(&scalar, &Test::In(alike));
            self.push(")");
        }
        self.push(")");
    }

    /// `… AND`: the item has the JSON type of this operand. Both booleans do: false is before true.
    fn of_type(&mut self, alias: &str, operand: &Value) {
        let types = match operand {
            Value::Bool(_) => "'true', 'false'",
            Value::Int(_) | Value::Float(_) => "'integer', 'real'",
            _ => "'text'",
        };
        self.push(format_args!("{alias}.type IN ({types}) AND "));
    }
}

fn present(values: &[Value]) -> Vec<Value> {
    values
        .iter()
        .filter(|value| !value.is_null())
        .cloned()
        .collect()
}
