//! The operators, each with what it demands of its place and its operand.

use serde_json::Value as Json;

use super::{MAX_LIST, MAX_TESTS, MAX_VALUES, MAX_WANTED, OPERATORS, Pass, Scope, item_type};
use crate::{
    field::{Field, FieldType, Source},
    filter::{Comparison, Expr, Operand, Path, Root, Test, TextMatch},
    mistake::{nearest, with_hint},
    value::Value,
    violation::kind_of,
};

impl<'a> Pass<'a> {
    pub(super) fn operator(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        name: &str,
        json: &Json,
    ) -> Option<Expr<Operand>> {
        self.tests += 1;
        if self.tests > MAX_TESTS {
            return self.refuse("too_large", format!("holds more than {MAX_TESTS} tests"));
        }
        let compare = |comparison| move |operand| Test::Compare(comparison, operand);
        let text = |at_start, ignore_case| TextMatch {
            at_start,
            ignore_case,
        };
        let (test, negated) = match name {
            "$eq" => (self.equal(path, field, json)?, false),
            "$ne" => (self.equal(path, field, json)?, true),
            "$gt" => (
                self.ordered(path, field, json)
                    .map(compare(Comparison::Greater))?,
                false,
            ),
            "$gte" => (
                self.ordered(path, field, json)
                    .map(compare(Comparison::GreaterOrEqual))?,
                false,
            ),
            "$lt" => (
                self.ordered(path, field, json)
                    .map(compare(Comparison::Less))?,
                false,
            ),
            "$lte" => (
                self.ordered(path, field, json)
                    .map(compare(Comparison::LessOrEqual))?,
                false,
            ),
            "$in" => (self.within(path, field, json)?, false),
            "$nin" => (self.within(path, field, json)?, true),
            "$exists" => (Test::Exists, !self.flag(json)?),
            "$all" => {
                self.needs_list(path, name)?;
                (Test::HasAll(self.list(path, field, json)?), false)
            }
            "$size" => {
                self.needs_list(path, name)?;
                (Test::Size(self.size(json)?), false)
            }
            "$elemMatch" => {
                self.needs_list(path, name)?;
                (
                    Test::ElemMatch(Box::new(self.elem_match(path, field, json)?)),
                    false,
                )
            }
            "$startsWith" => (self.text(path, json, text(true, false))?, false),
            "$contains" => (self.text(path, json, text(false, false))?, false),
            "$istartsWith" => (self.text(path, json, text(true, true))?, false),
            "$icontains" => (self.text(path, json, text(false, true))?, false),
            "$not" => {
                let inner = match json {
                    Json::Object(_) => self.condition(path, field, json)?,
                    _ => return self.refuse("wrong_type", "must be an object of operators"),
                };
                return Some(Expr::Not(Box::new(inner)));
            }
            unknown => {
                let message = format!("unknown operator `{unknown}`");
                let word = nearest(unknown, OPERATORS);
                return self.refuse("unknown_operator", with_hint(message, word));
            }
        };
        let test = Expr::Test {
            path: path.clone(),
            test,
        };
        Some(if negated {
            Expr::Not(Box::new(test))
        } else {
            test
        })
    }

    fn equal(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Test<Operand>> {
        if let (FieldType::List(item), Json::Array(_)) = (&path.leaf, json)
            && **item != FieldType::Json
        {
            let list = FieldType::List(item.clone());
            return self.typed(&list, field, json).map(Test::Equal);
        }
        self.operand(path, field, json).map(Test::Equal)
    }

    fn ordered(&mut self, path: &Path, field: Option<&'a Field>, json: &Json) -> Option<Operand> {
        let kind = item_type(&path.leaf);
        if !kind.is_ordered() && *kind != FieldType::Json {
            return self.refuse("not_ordered", format!("a {} has no order", kind.word()));
        }
        if json.is_null() {
            return self.refuse("wrong_type", "must not be null; ask with $exists");
        }
        self.operand(path, field, json)
    }

    fn within(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Test<Operand>> {
        match json {
            Json::Object(entries)
                if entries.contains_key("$select") && self.reader.is_trusted() =>
            {
                self.select(path, entries)
                    .map(|select| Test::InSelect(Box::new(select)))
            }
            Json::String(text) if text.starts_with('$') && self.reader.is_trusted() => self
                .variable(
                    &FieldType::List(Box::new(item_type(&path.leaf).clone())),
                    text,
                )
                .map(|operand| Test::In(vec![operand])),
            json => self.list(path, field, json).map(Test::In),
        }
    }

    fn list(&mut self, path: &Path, field: Option<&'a Field>, json: &Json) -> Option<Vec<Operand>> {
        let split;
        let items = match json {
            Json::Array(items) => items,
            Json::String(text) if self.reader.source == Source::Plain => {
                split = text.split(',').map(Json::from).collect::<Vec<_>>();
                &split
            }
            _ => {
                return self.refuse(
                    "wrong_type",
                    format!("must be a list, not {}", kind_of(json)),
                );
            }
        };
        if items.len() > MAX_LIST {
            return self.refuse("too_large", format!("must list at most {MAX_LIST} values"));
        }
        self.values += items.len();
        if self.values > MAX_VALUES {
            let message = format!("a filter lists at most {MAX_VALUES} values");
            return self.refuse("too_large", message);
        }
        let operands: Vec<Option<_>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.inside(index, |pass| pass.operand(path, field, item)))
            .collect();
        operands.into_iter().collect()
    }

    pub(super) fn elem_match(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Expr<Operand>> {
        let operators = matches!(json, Json::Object(entries)
            if entries.keys().next().is_some_and(|key| OPERATORS.contains(&key.as_str())
                && !(key == "$not" && *item_type(&path.leaf) == FieldType::Json)));
        let item = Path {
            root: Root::Item,
            segments: Vec::new(),
            leaf: item_type(&path.leaf).clone(),
        };
        match (item_type(&path.leaf), operators) {
            (_, true) => self.condition(&item, field, json),
            (FieldType::Json, false) => self.filter(json, Scope::JsonItem),
            _ => self.refuse(
                "wrong_type",
                "must be an object of operators such as {\"$gt\": 1}",
            ),
        }
    }

    fn text(&mut self, path: &Path, json: &Json, how: TextMatch) -> Option<Test<Operand>> {
        let kind = item_type(&path.leaf);
        if !kind.is_textual() && *kind != FieldType::Json {
            return self.refuse("wrong_type", format!("a {} is no text", kind.word()));
        }
        match json {
            Json::String(text) if text.starts_with('$') && self.reader.is_trusted() => {
                self.variable(&FieldType::Text, text)
            }
            Json::String(text)
                if !self.reader.is_trusted() && text.chars().count() > MAX_WANTED =>
            {
                let message = format!("must have at most {MAX_WANTED} characters");
                self.refuse("too_large", message)
            }
            Json::String(text) if !text.contains('\0') => {
                Some(Operand::Value(Value::Text(text.clone())))
            }
            _ => self.refuse("wrong_type", format!("must be text, not {}", kind_of(json))),
        }
        .map(|operand| Test::Text(how, operand))
    }

    fn needs_list(&mut self, path: &Path, operator: &str) -> Option<()> {
        match path.leaf {
            FieldType::List(_) | FieldType::Json => Some(()),
            _ => self.refuse("wrong_type", format!("`{operator}` is for lists and json")),
        }
    }

    fn flag(&mut self, json: &Json) -> Option<bool> {
        match json {
            Json::Bool(flag) => Some(*flag),
            Json::String(text) if self.reader.source == Source::Plain && text == "true" => {
                Some(true)
            }
            Json::String(text) if self.reader.source == Source::Plain && text == "false" => {
                Some(false)
            }
            _ => self.refuse("wrong_type", "must be true or false"),
        }
    }

    fn size(&mut self, json: &Json) -> Option<u64> {
        let size = match json {
            Json::String(text) if self.reader.source == Source::Plain => text.parse().ok(),
            json => json.as_u64(),
        };
        match size {
            Some(size) => Some(size),
            None => self.refuse("wrong_type", "must be a whole number from 0"),
        }
    }
}
