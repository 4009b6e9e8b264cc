//! Carrying out a change on a document.
//!
//! Whoever calls this holds the document's lock in the truth, so that what is read here is what is
//! written over.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::{Action, Change, Step};
use crate::{
    document::Document,
    field::{Bound, DefaultValue, Field, FieldType},
    filter::Root,
    schema::Collection,
    time::{Duration, Timestamp},
    value::Value,
    violation::{Pointer, Violation},
};

impl Change<Value> {
    /// Applies every step, then the stamps, then checks every field that was touched. The document
    /// is left as it was where something is violated.
    pub fn apply(
        &self,
        document: &mut Document,
        collection: &Collection,
        now: Timestamp,
    ) -> Result<(), Vec<Violation>> {
        self.carry_out(document, collection, now, false)
    }

    /// The same for what follows from another write: counters stay where their limits end, because
    /// who set a counter to its last number must not keep others from writing what is counted.
    pub fn apply_saturating(
        &self,
        document: &mut Document,
        collection: &Collection,
        now: Timestamp,
    ) -> Result<(), Vec<Violation>> {
        self.carry_out(document, collection, now, true)
    }

    fn carry_out(
        &self,
        document: &mut Document,
        collection: &Collection,
        now: Timestamp,
        saturating: bool,
    ) -> Result<(), Vec<Violation>> {
        let before = document.clone();
        let mut violations = Vec::new();
        for step in &self.steps {
            if let Err((code, message)) = step.apply(document, collection, now) {
                violations.push(Violation::new(step.pointer.clone(), code, message));
            }
            if saturating
                && matches!(step.action, Action::Increment(_))
                && let Some(index) = step.path.whole_field()
                && let Some(value) = document.value_mut(index)
            {
                saturate(&collection.fields()[index], value);
            }
        }
        for (index, field) in collection.declared_fields() {
            if field.stamped {
                let value = match field.kind {
                    FieldType::Date => Value::Date(now.date()),
                    _ => Value::Timestamp(now),
                };
                document.set(index, value);
            }
            if document.value(index) == before.value(index) {
                continue;
            }
            let mut at = Pointer::root();
            at.at(&field.name, |at| {
                if field.immutable {
                    violations.push(at.violation("immutable", "cannot be changed"));
                }
                let value = document.value(index);
                field.check(value, at, &mut violations);
                check_range(field, value, at, &mut violations);
                field.limits.check_relative(value, now, at, &mut violations);
            });
        }
        if violations.is_empty() {
            return Ok(());
        }
        *document = before;
        Err(violations)
    }
}

/// Brings a number back to the range of its field.
fn saturate(field: &Field, value: &mut Value) {
    let Value::Int(number) = value else {
        return;
    };
    if field.kind == FieldType::Int {
        *number = (*number).clamp(i32::MIN.into(), i32::MAX.into());
    }
    if let Some(Bound::Fixed(Value::Int(least))) = &field.limits.min {
        *number = (*number).max(*least);
    }
    if let Some(Bound::Fixed(Value::Int(most))) = &field.limits.max {
        *number = (*number).min(*most);
    }
}

/// Arithmetic may leave the range of the type.
fn check_range(field: &Field, value: &Value, at: &Pointer, violations: &mut Vec<Violation>) {
    if let (FieldType::Int, Value::Int(number)) = (&field.kind, value)
        && i32::try_from(*number).is_err()
    {
        let message = format!("must be from {} to {}", i32::MIN, i32::MAX);
        violations.push(at.violation("out_of_range", message));
    }
}

type Applied = Result<(), (&'static str, String)>;

/// An object that comes into being: its fields have their defaults.
fn beginning(fields: &[Field]) -> Value {
    let default = |field: &Field| match &field.default {
        Some(DefaultValue::Literal(value)) => value.clone(),
        _ => Value::Null,
    };
    Value::Object(fields.iter().map(default).collect())
}

impl Step<Value> {
    fn apply(&self, document: &mut Document, collection: &Collection, now: Timestamp) -> Applied {
        let Root::Field(index) = self.path.root else {
            return Ok(());
        };
        let Some(value) = document.value_mut(index) else {
            return Ok(());
        };
        self.descend(
            value,
            &collection.fields()[index].kind,
            &self.path.segments,
            now,
        )
    }

    /// Goes down a typed object to the value that is meant, making what is missing on the way.
    fn descend(
        &self,
        value: &mut Value,
        kind: &FieldType,
        segments: &[String],
        now: Timestamp,
    ) -> Applied {
        match (segments, kind) {
            ([], _) => self.act(value, kind, now),
            ([first, rest @ ..], FieldType::Object(fields)) => {
                if value.is_null() {
                    *value = beginning(fields);
                }
                let at = fields.iter().position(|field| field.name == *first);
                match (value, at) {
                    (Value::Object(values), Some(at)) => {
                        self.descend(&mut values[at], &fields[at].kind, rest, now)
                    }
                    _ => Ok(()),
                }
            }
            (segments, _) => {
                let mut json = match std::mem::replace(value, Value::Null) {
                    Value::Json(json) => json,
                    _ => Json::Null,
                };
                let applied = self.act_in_json(&mut json, segments, now);
                *value = match json {
                    Json::Null => Value::Null,
                    json => Value::Json(json),
                };
                applied
            }
        }
    }

    /// The same inside untyped json, where missing objects are made as well.
    fn act_in_json(&self, json: &mut Json, segments: &[String], now: Timestamp) -> Applied {
        let [first, rest @ ..] = segments else {
            let mut value = match std::mem::take(json) {
                Json::Null => Value::Null,
                // A number in json changes as a number.
                Json::Number(number) => crate::value::number_value(&number),
                json => Value::Json(json),
            };
            let applied = self.act(&mut value, &FieldType::Json, now);
            *json = crate::field::to_json(&FieldType::Json, &value);
            return applied;
        };
        if json.is_null() {
            if matches!(self.action, Action::Unset | Action::Pull(_)) {
                return Ok(());
            }
            *json = Json::Object(serde_json::Map::new());
        }
        let Json::Object(entries) = json else {
            return Err((
                "wrong_type",
                format!("there is no object to hold `{first}`"),
            ));
        };
        if rest.is_empty() && matches!(self.action, Action::Unset) {
            entries.shift_remove(first);
            return Ok(());
        }
        let entry = entries.entry(first.clone()).or_insert(Json::Null);
        self.act_in_json(entry, rest, now)
    }

    fn act(&self, value: &mut Value, kind: &FieldType, now: Timestamp) -> Applied {
        match &self.action {
            Action::Set(new) => *value = kind.adapt(new.clone()),
            Action::Unset => *value = Value::Null,
            Action::Increment(amount) => *value = add(value, amount)?,
            Action::Multiply(factor) => *value = multiply(value, factor)?,
            Action::Minimum(bound) => replace_if(value, bound, |order| order.is_gt())?,
            Action::Maximum(bound) => replace_if(value, bound, |order| order.is_lt())?,
            Action::Push(items) => {
                let list = list(value, kind)?;
                list.extend(items.iter().cloned().map(untyped));
            }
            Action::AddToSet(items) => {
                let list = list(value, kind)?;
                for item in items.iter().cloned().map(untyped) {
                    if !list.iter().any(|there| there.same(&item)) {
                        list.push(item);
                    }
                }
            }
            Action::Pull(condition) => {
                if !value.is_null() {
                    list(value, kind)?.retain(|item| !condition.matches_item(item));
                }
            }
            Action::CurrentDate => {
                *value = match kind {
                    FieldType::Date => Value::Date(now.date()),
                    _ => Value::Timestamp(now),
                }
            }
            Action::Merge(patch) => {
                let mut json = match std::mem::replace(value, Value::Null) {
                    Value::Json(json) => json,
                    _ => Json::Null,
                };
                merge(&mut json, patch);
                *value = Value::Json(json);
            }
        }
        // Inside json everything is json again.
        if *kind == FieldType::Json && !matches!(value, Value::Json(_) | Value::Null) {
            *value = Value::Json(match &*value {
                Value::List(items) => items
                    .iter()
                    .map(|item| crate::field::to_json(&FieldType::Json, item))
                    .collect(),
                scalar => crate::field::to_json(&FieldType::Json, scalar),
            });
        }
        if let (FieldType::List(item_kind), Value::List(items)) = (kind, value)
            && **item_kind == FieldType::Json
        {
            for item in items {
                *item = Value::Json(crate::field::to_json(item_kind, item));
            }
        }
        Ok(())
    }
}

/// A scalar in json as the value it is, so that it compares as one.
fn untyped(value: Value) -> Value {
    match value {
        Value::Json(json) => Value::from_json_scalar(&json).unwrap_or(Value::Json(json)),
        value => value,
    }
}

/// JSON merge patch, RFC 7396 §2.
fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Json::Object(serde_json::Map::new());
    }
    if let Json::Object(entries) = target {
        for (key, value) in patch {
            if value.is_null() {
                entries.shift_remove(key);
            } else {
                merge(entries.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
    }
}

/// The list at a place; one that is missing begins, and json that is no list is refused.
fn list<'a>(
    value: &'a mut Value,
    kind: &FieldType,
) -> Result<&'a mut Vec<Value>, (&'static str, String)> {
    match value {
        Value::Null => *value = Value::List(Vec::new()),
        Value::Json(Json::Array(items)) if *kind == FieldType::Json => {
            let items = items.drain(..).map(|item| untyped(Value::Json(item)));
            *value = Value::List(items.collect());
        }
        Value::List(items) => {
            for item in items.iter_mut() {
                *item = untyped(std::mem::replace(item, Value::Null));
            }
        }
        _ => {}
    }
    match value {
        Value::List(items) => Ok(items),
        _ => Err(("wrong_type", "there is no list".to_owned())),
    }
}

fn replace_if(
    value: &mut Value,
    bound: &Value,
    replaces: impl Fn(std::cmp::Ordering) -> bool,
) -> Applied {
    let scalar = match &*value {
        Value::Json(json) => Value::from_json_scalar(json).unwrap_or(Value::Null),
        value => value.clone(),
    };
    let bound_scalar = match bound {
        Value::Json(json) => Value::from_json_scalar(json).unwrap_or(Value::Null),
        bound => bound.clone(),
    };
    match scalar.compare(&bound_scalar) {
        Some(order) if replaces(order) => *value = bound.clone(),
        Some(_) => {}
        None if value.is_null() => *value = bound.clone(),
        None => return Err(("wrong_type", "the values do not compare".to_owned())),
    }
    Ok(())
}

fn overflow() -> (&'static str, String) {
    ("out_of_range", "the result is out of range".to_owned())
}

fn add(value: &Value, amount: &Value) -> Result<Value, (&'static str, String)> {
    Ok(match (value, amount) {
        (Value::Null, amount) => amount.clone(),
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_add(*b).ok_or_else(overflow)?),
        (Value::Decimal(a), Value::Decimal(b)) => {
            Value::Decimal(a.checked_add(*b).ok_or_else(overflow)?.normalize())
        }
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(Duration::from_millis(
            a.millis().checked_add(b.millis()).ok_or_else(overflow)?,
        )),
        (a, b) => float(a, b, |a, b| a + b)?,
    })
}

fn multiply(value: &Value, factor: &Value) -> Result<Value, (&'static str, String)> {
    Ok(match (value, factor) {
        (Value::Null, Value::Int(_)) => Value::Int(0),
        (Value::Null, Value::Float(_)) => Value::Float(0.0),
        (Value::Null, Value::Decimal(_)) => Value::Decimal(Decimal::ZERO),
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_mul(*b).ok_or_else(overflow)?),
        (Value::Decimal(a), Value::Decimal(b)) => {
            Value::Decimal(a.checked_mul(*b).ok_or_else(overflow)?.normalize())
        }
        (a, b) => float(a, b, |a, b| a * b)?,
    })
}

fn float(
    a: &Value,
    b: &Value,
    operation: impl Fn(f64, f64) -> f64,
) -> Result<Value, (&'static str, String)> {
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Json(json) => json.as_f64(),
        _ => None,
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => Some(operation(a, b))
            .filter(|result| result.is_finite())
            .map(|result| Value::Float(result + 0.0))
            .ok_or_else(overflow),
        _ => Err(("wrong_type", "there is no number".to_owned())),
    }
}
