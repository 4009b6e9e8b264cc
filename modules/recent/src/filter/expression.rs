//! Tests as aggregation expressions, for what is not declared: values inside json, and the items
//! that `$elemMatch` looks at.
//!
//! Expressions compare values of all types with each other, so each comparison asks for the type
//! first. Only `$cond` is sure not to look at what it does not take, which matters where something
//! else would be an error.

use mongodb::bson::{Bson, bson, doc};
use nubo_core::{
    filter::{Expr, Test},
    value::Value,
};

use super::{Unanswerable, bsons, symbol, text};
use crate::stored;

/// The value behind these keys, none of which goes through a list; null where nothing is.
pub(super) fn inside(value: Bson, keys: &[String]) -> Bson {
    let value = keys.iter().fold(
        value,
        |value, key| bson!({ "$getField": { "field": key, "input": value } }),
    );
    bson!({ "$ifNull": [value, Bson::Null] })
}

/// Whether a value passes a test. `depth` is how many lists are around it whose items are looked at.
pub(super) fn test(value: Bson, test: &Test, depth: usize) -> Result<Bson, Unanswerable> {
    let of_list = |then: Bson| when(is_list(&value), then, false.into());
    Ok(match test {
        Test::Exists => bson!({ "$ne": [value, Bson::Null] }),
        Test::Size(size) => of_list(bson!({ "$eq": [{ "$size": &value }, stored::count(*size)] })),
        Test::HasAll(wanted) if wanted.is_empty() => false.into(),
        Test::HasAll(wanted) => {
            let each = wanted
                .iter()
                .map(|wanted| bson!({ "$in": [literal(stored::bson(wanted)), &value] }));
            of_list(bson!({ "$and": each.collect::<Vec<_>>() }))
        }
        Test::ElemMatch(inner) => {
            of_list(any(&value, depth, |item| expr(&item, inner, depth + 1))?)
        }
        Test::InSelect(_) => return Err(Unanswerable::SubQuery),
        Test::Equal(_) | Test::In(_) | Test::Compare(..) | Test::Text(..) => {
            let items = any(&value, depth, |item| Ok(one(&item, test)))?;
            when(is_list(&value), items, one(&value, test))
        }
    })
}

/// Whether an item passes an expression whose paths start at the item.
fn expr(item: &Bson, expr: &Expr, depth: usize) -> Result<Bson, Unanswerable> {
    let all = |parts: &[Expr]| -> Result<Vec<Bson>, Unanswerable> {
        parts
            .iter()
            .map(|part| self::expr(item, part, depth))
            .collect()
    };
    Ok(match expr {
        Expr::All(parts) => bson!({ "$and": all(parts)? }),
        Expr::Any(parts) => bson!({ "$or": all(parts)? }),
        Expr::Not(part) => bson!({ "$not": [self::expr(item, part, depth)?] }),
        Expr::Test { path, test } => self::test(inside(item.clone(), &path.segments), test, depth)?,
    })
}

/// Whether a value that is no list passes a test of one value.
fn one(value: &Bson, test: &Test) -> Bson {
    match test {
        Test::Equal(Value::Null) => is_nothing(value),
        Test::Equal(wanted) => bson!({ "$eq": [value, literal(stored::bson(wanted))] }),
        Test::In(wanted) => {
            let present = wanted.iter().filter(|wanted| !wanted.is_null()).cloned();
            let present: Vec<Value> = present.collect();
            let found = bson!({ "$in": [value, literal(bsons(&present).into())] });
            match present.len() < wanted.len() {
                true => bson!({ "$or": [is_nothing(value), found] }),
                false => found,
            }
        }
        Test::Compare(comparison, wanted) => bson!({ "$and": [
            is_comparable(value, wanted),
            { symbol(*comparison): [value, literal(stored::bson(wanted))] },
        ] }),
        Test::Text(how, Value::Text(wanted)) => {
            let found = bson!({ "$regexMatch": {
                "input": value, "regex": text::pattern(*how, wanted),
            } });
            when(has_type(value, "string"), found, false.into())
        }
        _ => false.into(),
    }
}

/// Whether an item of a list passes.
fn any(
    list: &Bson,
    depth: usize,
    passes: impl FnOnce(Bson) -> Result<Bson, Unanswerable>,
) -> Result<Bson, Unanswerable> {
    let name = format!("i{depth}");
    let item = format!("$${name}");
    let each = doc! { "$map": { "input": list, "as": name, "in": passes(item.into())? } };
    Ok(bson!({ "$anyElementTrue": [each] }))
}

/// Whether a value has the type that it can be compared in with another.
fn is_comparable(value: &Bson, other: &Value) -> Bson {
    match other {
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) | Value::Duration(_) => {
            bson!({ "$isNumber": value })
        }
        Value::Bool(_) => has_type(value, "bool"),
        Value::Text(_) => has_type(value, "string"),
        Value::Uuid(_) => has_type(value, "binData"),
        Value::Timestamp(_) | Value::Date(_) => has_type(value, "date"),
        // They have no order.
        _ => false.into(),
    }
}

fn is_nothing(value: &Bson) -> Bson {
    bson!({ "$eq": [value, Bson::Null] })
}

fn is_list(value: &Bson) -> Bson {
    bson!({ "$isArray": [value] })
}

fn has_type(value: &Bson, name: &str) -> Bson {
    bson!({ "$eq": [{ "$type": value }, name] })
}

fn when(condition: Bson, then: Bson, otherwise: Bson) -> Bson {
    bson!({ "$cond": [condition, then, otherwise] })
}

/// What is meant as it stands, even where a text begins with `$`.
fn literal(value: Bson) -> Bson {
    bson!({ "$literal": value })
}
