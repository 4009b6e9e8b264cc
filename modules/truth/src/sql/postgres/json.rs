//! Where paths lead in PostgreSQL, and tests of lists and json.
//!
//! A list of single values is an array; what is inside an object, and json itself, is `jsonb`. The
//! containment operators are used where they mean what is asked, so that GIN indexes serve.

use nubo_core::{
    field::FieldType,
    filter::{Expr, Path, Root, Test},
    value::Value,
};
use serde_json::Value as JsonValue;

use super::{
    Argument, Postgres,
    types::{Scalar as Single, Type},
};
use crate::sql::{
    condition::{Builder, Place, present, symbol},
    stored_json,
};

type Scalar = crate::sql::condition::Scalar<Postgres>;

/// How a value is held at the place where it stands.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// As a value of this type.
    Typed(Single),
    /// As the text that stands for it in JSON. It sorts as the values do.
    Text,
}

/// A place that holds a list or json.
#[derive(Clone)]
pub(crate) enum Json {
    /// A column that is an array.
    Array(String),
    /// An expression of `jsonb`.
    Jsonb(String),
}

/// The item that `$elemMatch` looks at.
#[derive(Clone)]
pub(crate) enum Item {
    /// An item of an array.
    Typed(String),
    /// An item of a list in `jsonb`.
    Jsonb(String),
}

/// The argument for a place that has this form.
pub(super) fn operand(form: Form, value: &Value) -> Argument {
    match form {
        Form::Typed(single) => Argument::new(Type::One(single), value),
        Form::Text => Argument::text(&stored_json::text_of(value)),
    }
}

/// Several of them as one array.
pub(super) fn operands(form: Form, values: &[&Value]) -> Argument {
    let texts: Vec<Value>;
    let (single, values): (Single, Vec<&Value>) = match form {
        Form::Typed(single) => (single, values.to_vec()),
        Form::Text => {
            let text = |value: &&Value| Value::Text(stored_json::text_of(value));
            texts = values.iter().map(text).collect();
            (Single::Text, texts.iter().collect())
        }
    };
    Argument::array(single, values)
}

/// A selected column in a form that compares with a value in this form: ids stand in json as their
/// text. Nothing else is selected to be looked for in json.
pub(super) fn comparable(selected: &str, kind: &FieldType, with: Form) -> Option<String> {
    let textual = matches!(Single::of(kind), Single::Text | Single::Uuid);
    match with {
        Form::Typed(_) => Some(selected.to_owned()),
        Form::Text if textual => Some(format!("{selected}::text COLLATE \"C\"")),
        Form::Text => None,
    }
}

/// Where a path leads.
pub(super) fn place(builder: &Builder<'_, Postgres>, path: &Path) -> Place<Postgres> {
    let start = match (path.root, &builder.item) {
        (Root::Field(field), _) => {
            let column = builder.column(field);
            if path.segments.is_empty() {
                return match (Type::of(&path.leaf), &path.leaf) {
                    (Type::Array(_), _) => Place::List(Json::Array(column)),
                    (Type::One(_), FieldType::List(_)) => Place::List(Json::Jsonb(column)),
                    (Type::One(Single::Jsonb), _) => Place::Json(Json::Jsonb(column)),
                    (Type::One(single), _) => Place::Scalar(typed(column, single)),
                };
            }
            column
        }
        (Root::Item, Some(Item::Typed(item))) => {
            return Place::Scalar(typed(item.clone(), Single::of(&path.leaf)));
        }
        (Root::Item, Some(Item::Jsonb(item))) => item.clone(),
        // A path into an item outside of any list matches nothing.
        (Root::Item, None) => return Place::Scalar(typed("NULL".into(), Single::of(&path.leaf))),
    };
    // The operator takes keys of objects only: text never counts the items of a list.
    let json = path.segments.iter().fold(start, |json, segment| {
        format!("({json} -> '{}')", segment.replace('\'', "''"))
    });
    match &path.leaf {
        FieldType::List(_) => Place::List(Json::Jsonb(json)),
        FieldType::Json | FieldType::Object(_) => Place::Json(Json::Jsonb(json)),
        kind => Place::Scalar(inside(kind, &json)),
    }
}

fn typed(sql: String, single: Single) -> Scalar {
    Scalar {
        sql,
        form: Form::Typed(single),
    }
}

/// A value of a declared type that stands in `jsonb`.
fn inside(kind: &FieldType, json: &str) -> Scalar {
    let text = format!("({json} #>> '{{}}')");
    match Single::of(kind) {
        single @ (Single::Integer | Single::Bigint) => {
            // Stored before the field was declared anew it may be larger than an integer.
            let wide = if single == Single::Integer {
                Single::Bigint
            } else {
                single
            };
            typed(format!("{text}::bigint"), wide)
        }
        single @ (Single::Double | Single::Numeric | Single::Boolean) => {
            typed(format!("{text}::{}", single.name()), single)
        }
        _ => Scalar {
            sql: format!("({text} COLLATE \"C\")"),
            form: Form::Text,
        },
    }
}

impl Builder<'_, Postgres> {
    /// A test of a typed list: some item passes, or the list as a whole does.
    pub(super) fn list(&mut self, json: &Json, kind: &FieldType, test: &Test) {
        let FieldType::List(item) = kind else {
            return self.push("FALSE");
        };
        match (json, test) {
            (_, Test::In(values)) if values.iter().any(Value::is_null) => {
                self.list(json, kind, &Test::Equal(Value::Null));
                self.push(" OR ");
                self.list(json, kind, &Test::In(present(values)));
            }
            (_, Test::HasAll(values)) if values.is_empty() => self.push("FALSE"),
            (Json::Array(column), test) => self.array(column, Single::of(item), test),
            // Untyped items compare as they do anywhere in json.
            (Json::Jsonb(_), test) if **item == FieldType::Json => self.json(json, test),
            (Json::Jsonb(sql), test) => self.typed_items(sql, item, test),
        }
    }

    /// A test of a column that is an array. It holds no nulls.
    fn array(&mut self, column: &str, single: Single, test: &Test) {
        let one = |value: &Value| Argument::array(single, [value]);
        match test {
            Test::Equal(Value::Null) => self.push(format_args!("{column} IS NULL")),
            Test::Exists => self.push(format_args!("{column} IS NOT NULL")),
            Test::Equal(Value::List(items)) => {
                self.push(format_args!("{column} = "));
                self.bind(Argument::array(single, items));
            }
            Test::Equal(value) => {
                self.push(format_args!("{column} @> "));
                self.bind(one(value));
            }
            Test::In(values) => {
                self.push(format_args!("{column} && "));
                self.bind(Argument::array(single, values));
            }
            Test::HasAll(values) => {
                self.push(format_args!("{column} @> "));
                self.bind(Argument::array(single, values));
            }
            Test::Size(size) => self.size(&format!("cardinality({column})"), *size),
            Test::ElemMatch(inner) => {
                let alias = self.alias();
                self.push(format_args!(
                    "EXISTS (SELECT 1 FROM unnest({column}) AS {alias} (item) WHERE "
                ));
                self.at_item(Item::Typed(format!("{alias}.item")), inner);
                self.push(")");
            }
            test @ (Test::Compare(..) | Test::Text(..) | Test::InSelect(_)) => {
                let alias = self.alias();
                self.push(format_args!(
                    "EXISTS (SELECT 1 FROM unnest({column}) AS {alias} (item) WHERE "
                ));
                self.scalar(&typed(format!("{alias}.item"), single), test);
                self.push(")");
            }
        }
    }

    /// A test of a list of a declared type inside an object.
    fn typed_items(&mut self, sql: &str, item: &FieldType, test: &Test) {
        match test {
            Test::Equal(Value::Null) => {
                self.push(format_args!(
                    "coalesce(jsonb_typeof({sql}), 'null') = 'null'"
                ));
            }
            Test::Exists => self.present(sql),
            Test::Equal(Value::List(items)) => {
                self.push(format_args!("{sql} = "));
                let items: JsonValue = items.iter().map(stored_json::of).collect();
                self.bind(Argument::json(&items));
            }
            Test::Size(size) => self.json_size(sql, *size),
            // No item is null.
            Test::HasAll(values) if values.iter().any(Value::is_null) => self.push("FALSE"),
            Test::HasAll(values) => self.joined(values, "AND", &mut |builder, value| {
                builder.typed_items(sql, item, &Test::Equal(value.clone()));
            }),
            Test::ElemMatch(inner) => {
                let alias = self.each_item(sql);
                self.at_item(Item::Jsonb(format!("{alias}.item")), inner);
                self.push(")");
            }
            test => {
                let alias = self.each_item(sql);
                self.scalar(&inside(item, &format!("{alias}.item")), test);
                self.push(")");
            }
        }
    }

    /// A test of untyped json (or the presence of an object): values of one JSON type compare, and
    /// a list passes where an item does.
    pub(super) fn json(&mut self, json: &Json, test: &Test) {
        let Json::Jsonb(sql) = json else {
            return self.push("FALSE");
        };
        match test {
            Test::Exists => self.present(sql),
            Test::Equal(Value::Null) => self.push(format_args!(
                "coalesce(jsonb_typeof({sql}), 'null') = 'null' OR {sql} @> '[null]'"
            )),
            Test::In(values) if values.iter().any(Value::is_null) => {
                self.json(json, &Test::Equal(Value::Null));
                self.push(" OR ");
                self.json(json, &Test::In(present(values)));
            }
            Test::Size(size) => self.json_size(sql, *size),
            Test::HasAll(values) if values.is_empty() => self.push("FALSE"),
            Test::HasAll(values) => {
                // A value that is no list contains none.
                self.push(format_args!("{sql} @> "));
                let items: JsonValue = values.iter().map(stored_json::untyped).collect();
                self.bind(Argument::json(&items));
            }
            // A list contains its items, and a value itself.
            Test::Equal(value) => {
                self.push(format_args!("{sql} @> "));
                self.bind(Argument::json(&stored_json::untyped(value)));
            }
            Test::In(values) => {
                self.push(format_args!("{sql} @> ANY("));
                self.bind(Argument::array(Single::Jsonb, values));
                self.push(")");
            }
            Test::ElemMatch(inner) => {
                let alias = self.each_item(sql);
                self.at_item(Item::Jsonb(format!("{alias}.item")), inner);
                self.push(")");
            }
            test @ (Test::Compare(..) | Test::Text(..) | Test::InSelect(_)) => {
                let alias = self.alias();
                self.push(format_args!(
                    "EXISTS (SELECT 1 FROM jsonb_array_elements(CASE jsonb_typeof({sql}) \
                     WHEN 'array' THEN {sql} ELSE jsonb_build_array({sql}) END) AS {alias} (item) \
                     WHERE "
                ));
                self.json_item(&format!("{alias}.item"), test);
                self.push(")");
            }
        }
    }

    /// A test of one value of untyped json, which is none that has others inside.
    fn json_item(&mut self, item: &str, test: &Test) {
        let text = Scalar {
            sql: format!("(({item} #>> '{{}}') COLLATE \"C\")"),
            form: Form::Text,
        };
        match test {
            Test::Compare(
                comparison,
                value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_)),
            ) => {
                let kind = match value {
                    Value::Bool(_) => "boolean",
                    _ => "number",
                };
                self.push(format_args!(
                    "jsonb_typeof({item}) = '{kind}' AND {item} {} ",
                    symbol(*comparison)
                ));
                self.bind(Argument::json(&stored_json::untyped(value)));
            }
            // Everything else stands there as text; the values of a sub-query are ids, as a rule.
            test => {
                self.push(format_args!("jsonb_typeof({item}) = 'string' AND "));
                self.scalar(&text, test);
            }
        }
    }

    /// Opens a sub-query over the items of a list in `jsonb`, and gives its alias.
    fn each_item(&mut self, sql: &str) -> String {
        let alias = self.alias();
        self.push(format_args!(
            "EXISTS (SELECT 1 FROM jsonb_array_elements(CASE jsonb_typeof({sql}) \
             WHEN 'array' THEN {sql} END) AS {alias} (item) WHERE "
        ));
        alias
    }

    /// A condition whose paths start at an item.
    fn at_item(&mut self, item: Item, inner: &Expr) {
        let before = self.item.replace(item);
        self.expr(inner);
        self.item = before;
    }

    fn present(&mut self, sql: &str) {
        self.push(format_args!(
            "coalesce(jsonb_typeof({sql}), 'null') <> 'null'"
        ));
    }

    fn json_size(&mut self, sql: &str, size: u64) {
        // No order of evaluation is promised, so that the length is asked of lists only.
        self.size(
            &format!("jsonb_array_length(CASE jsonb_typeof({sql}) WHEN 'array' THEN {sql} END)"),
            size,
        );
    }

    fn size(&mut self, length: &str, size: u64) {
        self.push(format_args!("{length} = "));
        self.bind(Argument::integer(i64::try_from(size).unwrap_or(i64::MAX)));
    }
}
