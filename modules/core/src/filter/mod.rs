//! The filter language: MongoDB's, checked against the schema once and then executed by anyone.
//!
//! [`parse`] turns JSON into an [`Expr`]; [`evaluate`] is the executor for documents in memory and
//! the meaning that all the others must agree with:
//!
//! * Missing and null are the same.
//! * A positive test matches null only when asked for null; on a list it matches if any item does.
//!   `$all`, `$size` and `$elemMatch` look at the whole list.
//! * `$ne $nin $not $nor` are exactly the negation of the positive test, so they do match null.
//! * Inside untyped json only values of the same JSON type compare.
//!
//! An expression is generic in its operands: as it is parsed they may be variables (`$auth.id`,
//! `$doc.post_id`), and only one that is [bound](Expr::bind) to values can be executed.

mod decide;
mod evaluate;
mod parse;
#[cfg(test)]
mod parse_test;
mod path;
mod spell;

pub use decide::{Decision, Step as DecisionStep};
pub use evaluate::SubQueries;
pub use parse::{Reader, Variables};
pub use path::{Path, Root};

use crate::{field::FieldType, schema::CollectionId, value::Value};

/// A condition on a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr<V = Value> {
    /// Every one holds; true when there is none.
    All(Vec<Expr<V>>),
    /// At least one holds; false when there is none.
    Any(Vec<Expr<V>>),
    /// It does not hold.
    Not(Box<Expr<V>>),
    /// The value at a path passes a test.
    Test { path: Path, test: Test<V> },
}

/// A positive test of the value at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Test<V = Value> {
    /// `$eq`; with null, that there is no value.
    Equal(V),
    /// `$gt $gte $lt $lte`
    Compare(Comparison, V),
    /// `$in`
    In(Vec<V>),
    /// `$in` over a sub-query.
    InSelect(Box<Select<V>>),
    /// `$exists: true`
    Exists,
    /// `$all`: every one of these is an item of the list.
    HasAll(Vec<V>),
    /// `$size`: the list has this many items.
    Size(u64),
    /// `$elemMatch`: one item of the list passes all of this. Its paths start at the item.
    ElemMatch(Box<Expr<V>>),
    /// `$startsWith $contains $istartsWith $icontains`
    Text(TextMatch, V),
}

/// An order comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How a text is looked for in another, literally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextMatch {
    /// At the beginning only, or anywhere.
    pub at_start: bool,
    /// ASCII letters match in either case.
    pub ignore_case: bool,
}

/// A sub-query: the values that one field has in the documents that match.
#[derive(Debug, Clone, PartialEq)]
pub struct Select<V = Value> {
    pub collection: CollectionId,
    /// Index of the field.
    pub field: usize,
    pub condition: Expr<V>,
}

/// An operand as it is written: a value, or something that stands for one.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Value(Value),
    Variable(Variable),
    /// JSON with variables somewhere inside. Only changes have it.
    Template(Template),
}

/// JSON in which variables stand for values.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    Literal(serde_json::Value),
    Variable(Variable, FieldType),
    List(Vec<Template>),
    Object(Vec<(String, Template)>),
}

impl Template {
    /// The JSON with the variables' values in their places.
    fn fill(&self, bindings: &impl Bindings) -> serde_json::Value {
        match self {
            Self::Literal(json) => json.clone(),
            Self::Variable(variable, kind) => {
                crate::field::to_json(kind, &bindings.value_of(variable))
            }
            Self::List(items) => items.iter().map(|item| item.fill(bindings)).collect(),
            Self::Object(entries) => entries
                .iter()
                .map(|(key, item)| (key.clone(), item.fill(bindings)))
                .collect(),
        }
    }
}

/// What stands for a value until the request, or the causing document, is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Variable {
    /// `$auth.id`, `$auth.roles`, `$auth.<field of the account>`
    Auth(String),
    /// `$doc.<field>`: index of a field of the document that causes an effect.
    Doc(usize),
    /// `$each.<field>`: index of a field of the document an effect goes through.
    Each(usize),
    /// `$now`
    Now,
    /// `$uuid`: another one each time.
    Uuid,
}

/// Gives variables their values.
pub trait Bindings {
    /// The value, or null where there is none.
    fn value_of(&self, variable: &Variable) -> Value;
}

/// Bindings where no variable can occur.
pub struct NoVariables;

impl Bindings for NoVariables {
    fn value_of(&self, _: &Variable) -> Value {
        Value::Null
    }
}

impl<V> Expr<V> {
    /// What every document passes.
    pub const fn always() -> Self {
        Self::All(Vec::new())
    }

    /// What no document passes.
    pub const fn never() -> Self {
        Self::Any(Vec::new())
    }

    /// Whether it says nothing.
    pub fn is_always(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// Whether no document passes, whatever is in it.
    pub fn is_never(&self) -> bool {
        matches!(self, Self::Any(parts) if parts.is_empty())
    }

    /// Calls `each` with the index of every field it tests.
    pub fn for_each_field(&self, each: &mut impl FnMut(usize)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.for_each_field(each);
                }
            }
            Self::Not(part) => part.for_each_field(each),
            Self::Test { path, .. } => {
                if let Root::Field(field) = path.root {
                    each(field);
                }
            }
        }
    }

    /// Whether it is about single values in fields of their own.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::is_plain),
            Self::Not(part) => part.is_plain(),
            Self::Test { path, test } => {
                let inside = matches!(
                    path.leaf,
                    FieldType::Json | FieldType::Object(_) | FieldType::List(_)
                );
                path.segments.is_empty() && !inside && !matches!(test, Test::InSelect(_))
            }
        }
    }

    /// Whether it asks for other documents.
    pub fn has_sub_query(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::has_sub_query),
            Self::Not(part) => part.has_sub_query(),
            Self::Test { test, .. } => match test {
                Test::InSelect(_) => true,
                Test::ElemMatch(inner) => inner.has_sub_query(),
                _ => false,
            },
        }
    }

    /// Calls `each` with every collection that a sub-query looks into.
    pub fn for_each_selected(&self, each: &mut impl FnMut(CollectionId)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.for_each_selected(each);
                }
            }
            Self::Not(part) => part.for_each_selected(each),
            Self::Test { test, .. } => match test {
                Test::InSelect(select) => {
                    each(select.collection);
                    select.condition.for_each_selected(each);
                }
                Test::ElemMatch(inner) => inner.for_each_selected(each),
                _ => {}
            },
        }
    }

    /// A test of a field by its index.
    pub fn field(path: Path, test: Test<V>) -> Self {
        Self::Test { path, test }
    }

    /// At least one holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a.is_always() || b.is_never() => a,
            (a, b) if b.is_always() || a.is_never() => b,
            (Self::Any(mut parts), b) => {
                parts.push(b);
                Self::Any(parts)
            }
            (a, b) => Self::Any(vec![a, b]),
        }
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a.is_never() || b.is_never() => Self::never(),
            (a, b) if b.is_always() => a,
            (a, b) if a.is_always() => b,
            (Self::All(mut parts), b) => {
                parts.push(b);
                Self::All(parts)
            }
            (a, b) => Self::All(vec![a, b]),
        }
    }
}

impl<V: Clone> Expr<V> {
    /// What of it needs no other documents: conditions that all hold where it does.
    pub fn by_itself(&self) -> Vec<Self> {
        match self {
            Self::All(parts) => parts.iter().flat_map(Self::by_itself).collect(),
            other if other.has_sub_query() => Vec::new(),
            other => vec![other.clone()],
        }
    }
}

impl Expr<Operand> {
    /// Calls `each` with every variable it mentions, sub-queries included.
    pub fn for_each_variable(&self, each: &mut impl FnMut(&Variable)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.for_each_variable(each);
                }
            }
            Self::Not(part) => part.for_each_variable(each),
            Self::Test { test, .. } => test.for_each_variable(each),
        }
    }

    /// Puts values in the place of variables. None when one of them has no value: what is asked of
    /// somebody absent is false as a whole, under negation too.
    pub fn bind(&self, bindings: &impl Bindings) -> Option<Expr<Value>> {
        let all = |parts: &[Self]| -> Option<Vec<Expr>> {
            parts.iter().map(|part| part.bind(bindings)).collect()
        };
        Some(match self {
            Self::All(parts) => Expr::All(all(parts)?),
            Self::Any(parts) => Expr::Any(all(parts)?),
            Self::Not(part) => Expr::Not(Box::new(part.bind(bindings)?)),
            Self::Test { path, test } => Expr::Test {
                path: path.clone(),
                test: test.bind(bindings, path)?,
            },
        })
    }
}

impl Test<Operand> {
    fn for_each_variable(&self, each: &mut impl FnMut(&Variable)) {
        let operands = match self {
            Self::Equal(operand) | Self::Compare(_, operand) | Self::Text(_, operand) => {
                std::slice::from_ref(operand)
            }
            Self::In(operands) | Self::HasAll(operands) => operands,
            Self::InSelect(select) => return select.condition.for_each_variable(each),
            Self::ElemMatch(inner) => return inner.for_each_variable(each),
            Self::Exists | Self::Size(_) => return,
        };
        for operand in operands {
            if let Operand::Variable(variable) = operand {
                each(variable);
            }
        }
    }

    fn bind(&self, bindings: &impl Bindings, path: &Path) -> Option<Test<Value>> {
        let one = |operand: &Operand| {
            let value = operand.bind(bindings)?;
            Some(match path.leaf {
                FieldType::Json => in_json(value),
                _ => value,
            })
        };
        // A variable that holds a list stands for its items.
        let many = |operands: &[Operand]| {
            let mut values = Vec::with_capacity(operands.len());
            for operand in operands {
                match (operand, one(operand)?) {
                    (Operand::Variable(_), Value::List(items)) => values.extend(items),
                    (_, value) => values.push(value),
                }
            }
            Some(values)
        };
        Some(match self {
            Self::Equal(operand) => Test::Equal(one(operand)?),
            Self::Compare(comparison, operand) => Test::Compare(*comparison, one(operand)?),
            Self::In(operands) => Test::In(many(operands)?),
            Self::InSelect(select) => Test::InSelect(Box::new(Select {
                collection: select.collection,
                field: select.field,
                condition: select.condition.bind(bindings)?,
            })),
            Self::Exists => Test::Exists,
            Self::HasAll(operands) => Test::HasAll(many(operands)?),
            Self::Size(size) => Test::Size(*size),
            Self::ElemMatch(inner) => Test::ElemMatch(Box::new(inner.bind(bindings)?)),
            Self::Text(how, operand) => Test::Text(*how, one(operand)?),
        })
    }
}

/// What a value is in untyped json, where ids and times are texts.
fn in_json(value: Value) -> Value {
    match value {
        Value::Uuid(uuid) => Value::Text(uuid.to_string()),
        Value::Timestamp(time) => Value::Text(time.to_string()),
        Value::Date(date) => Value::Text(date.to_string()),
        Value::List(items) => Value::List(items.into_iter().map(in_json).collect()),
        value => value,
    }
}

impl Operand {
    fn bind(&self, bindings: &impl Bindings) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value.clone()),
            variable => Some(variable.value(bindings)).filter(|value| !value.is_null()),
        }
    }

    /// The value it stands for, which may be none.
    pub fn value(&self, bindings: &impl Bindings) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Variable(variable) => bindings.value_of(variable),
            Self::Template(template) => match template.fill(bindings) {
                serde_json::Value::Null => Value::Null,
                json => Value::Json(json),
            },
        }
    }
}
