//! Values that stand as examples in the API's documentation.

use std::cmp::Ordering;

use serde_json::{Value as Json, json};

use super::{Bound, DefaultValue, Field, FieldType, Source, to_json};
use crate::{value::Value, violation::Pointer};

impl Field {
    /// A value that the field accepts; none where one cannot be made up.
    pub(super) fn example(&self) -> Option<Json> {
        if let Some(choice) = self.limits.choices.first() {
            return Some(self.listed(to_json(self.item_kind(), &choice.value), 1));
        }
        if let Some(DefaultValue::Literal(value)) = &self.default {
            return Some(to_json(&self.kind, value));
        }
        if self.limits.pattern.is_some() {
            return None;
        }
        let item = self.example_item()?;
        let (FieldType::List(_), min, max) = (
            &self.kind,
            self.limits.min_length.unwrap_or(0),
            self.limits.max_length.unwrap_or(u32::MAX),
        ) else {
            return Some(item);
        };
        let length = min.max(1).min(max);
        (length <= 3).then(|| self.listed(item, length as usize))
    }

    /// The value itself, or a list of it where the field holds one.
    fn listed(&self, item: Json, length: usize) -> Json {
        match self.kind {
            FieldType::List(_) => vec![item; length].into(),
            _ => item,
        }
    }

    fn example_item(&self) -> Option<Json> {
        let kind = self.item_kind();
        let of = |value: Value| to_json(kind, &self.within(value));
        Some(match kind {
            FieldType::Text => self.long_enough("text").into(),
            FieldType::Password => self.long_enough("correct horse battery staple").into(),
            // A revision.
            FieldType::BigInt if self.system => 1_795_297_500_123_456_i64.into(),
            FieldType::Int | FieldType::BigInt => of(Value::Int(1)),
            FieldType::Float => of(Value::Float(1.5)),
            FieldType::Bool => true.into(),
            FieldType::Uuid | FieldType::Ref(_) => "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11".into(),
            FieldType::Decimal => of(read(kind, "12.5")?),
            FieldType::Timestamp => of(read(kind, "2026-11-21T21:45:00.123Z")?),
            FieldType::Date if self.depends_on_the_day() => return None,
            FieldType::Date => of(read(kind, "2026-11-21")?),
            FieldType::Duration => of(read(kind, "P1DT2H30M")?),
            FieldType::Json => json!({ "key": "value" }),
            FieldType::Ip => "192.0.2.1".into(),
            FieldType::Email => "ada@example.org".into(),
            FieldType::Url => "https://example.org/".into(),
            FieldType::Bytes if *kind == self.kind && self.limits.min_length.is_some() => {
                return None;
            }
            FieldType::Bytes => "aGk=".into(),
            FieldType::Object(_) | FieldType::List(_) => return None,
        })
    }

    /// The value, or the bound that it passes.
    fn within(&self, value: Value) -> Value {
        let passed = |bound: &Option<Bound>, side: Ordering| match bound {
            Some(Bound::Fixed(bound)) if value.compare(bound) == Some(side) => Some(bound.clone()),
            _ => None,
        };
        passed(&self.limits.min, Ordering::Less)
            .or_else(|| passed(&self.limits.max, Ordering::Greater))
            .unwrap_or(value)
    }

    fn long_enough(&self, text: &str) -> String {
        if let FieldType::List(_) = self.kind {
            return text.to_owned();
        }
        let longest = self.limits.max_length.unwrap_or(u32::MAX) as usize;
        let shortest = self.limits.min_length.unwrap_or(0) as usize;
        let length = text.len().max(shortest).min(longest);
        text.chars().cycle().take(length).collect()
    }

    fn depends_on_the_day(&self) -> bool {
        let relative = |bound: &Option<Bound>| matches!(bound, Some(Bound::YearsFromToday(_)));
        relative(&self.limits.min) || relative(&self.limits.max)
    }
}

fn read(kind: &FieldType, text: &str) -> Option<Value> {
    kind.read(
        &text.into(),
        Source::Json,
        &mut Pointer::root(),
        &mut Vec::new(),
    )
}
