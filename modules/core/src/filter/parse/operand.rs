//! What a field is compared with: values, variables and sub-queries.

use serde_json::{Map, Value as Json};

use super::{Pass, Scope, Variables, item_type};
use crate::{
    field::{Field, FieldType, Source},
    filter::{Expr, Operand, Path, Select, Variable},
    schema::Collection,
    value::Value,
};

impl<'a> Pass<'a> {
    /// One operand of the type that stands at the path.
    pub(super) fn operand(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Operand> {
        let kind = item_type(&path.leaf);
        if json.is_null() {
            return Some(Operand::Value(Value::Null));
        }
        match kind {
            FieldType::Object(_) => {
                return self.refuse(
                    "wrong_type",
                    "an object is asked for by its fields, as in `privacy.posts`",
                );
            }
            FieldType::Json => return self.json_operand(json),
            _ => {}
        }
        self.typed(kind, field, json)
    }

    pub(super) fn typed(
        &mut self,
        kind: &FieldType,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Operand> {
        if let Json::String(text) = json
            && text.starts_with('$')
            && self.reader.is_trusted()
        {
            return self.variable(kind, text);
        }
        let mut at = self.at.clone();
        let violations = &mut self.violations;
        match field {
            Some(field) => field.read_as(kind, json, self.reader.source, &mut at, violations),
            None => kind.read(json, self.reader.source, &mut at, violations),
        }
        .map(Operand::Value)
    }

    fn json_operand(&mut self, json: &Json) -> Option<Operand> {
        let parsed;
        let json = match json {
            Json::String(text) if text.starts_with('$') && self.reader.is_trusted() => {
                return self.variable(&FieldType::Json, text);
            }
            Json::String(text) if self.reader.source == Source::Plain => {
                parsed = serde_json::from_str(text).unwrap_or_else(|_| json.clone());
                &parsed
            }
            json => json,
        };
        match Value::from_json_scalar(json) {
            Some(Value::Text(text)) if text.contains('\0') => {
                self.refuse("invalid_character", "must not contain the character U+0000")
            }
            Some(value) => Some(Operand::Value(value)),
            None => self.refuse(
                "wrong_type",
                "must be text, a number, a boolean or null; ask for parts by their path",
            ),
        }
    }

    pub(super) fn select(
        &mut self,
        path: &Path,
        entries: &Map<String, Json>,
    ) -> Option<Select<Operand>> {
        for key in entries
            .keys()
            .filter(|key| !["$select", "$where"].contains(&key.as_str()))
        {
            self.inside(key, |pass| {
                pass.refuse::<()>(
                    "unknown_operator",
                    format!("unknown key `{key}` beside $select"),
                )
            });
        }
        let catalog = self.reader.catalog;
        let target = entries["$select"]
            .as_str()
            .unwrap_or_default()
            .split_once('.');
        let found = target.and_then(|(collection, field)| {
            let collection = catalog.named(collection)?;
            let (index, field) = collection.field_named(field)?;
            Some((collection, index, field))
        });
        let Some((collection, field, selected)) = found else {
            return self.inside("$select", |pass| {
                pass.refuse("unknown_field", "must be `collection.field`, both declared")
            });
        };
        // A list stands for its items.
        if !item_type(&selected.kind).fits(item_type(&path.leaf)) {
            let message = format!(
                "selects {} where {} is compared",
                selected.kind.word(),
                path.leaf.word()
            );
            self.inside("$select", |pass| pass.refuse::<()>("wrong_type", message));
        }
        let condition = match entries.get("$where") {
            None => Expr::always(),
            Some(json) => self.inside("$where", |pass| {
                pass.filter(json, Scope::Collection(collection))
            })?,
        };
        Some(Select {
            collection: collection.id,
            field,
            condition,
        })
    }

    /// Something that stands for a value of this type.
    pub(super) fn variable(&mut self, kind: &FieldType, text: &str) -> Option<Operand> {
        let field_of = |collection: Option<&Collection>, name: &str| {
            collection.and_then(|c| {
                c.field_named(name)
                    .map(|(index, f)| (index, f.kind.clone()))
            })
        };
        let found = match (text.split_once('.'), self.reader.variables) {
            (Some(("$auth", name)), Variables::Auth) if !name.is_empty() => {
                return Some(Operand::Variable(Variable::Auth(name.to_owned())));
            }
            (None, _) if text == "$now" => Some((Variable::Now, FieldType::Timestamp)),
            (Some(("$doc", name)), Variables::Effect { doc, .. }) => {
                field_of(Some(doc), name).map(|(index, kind)| (Variable::Doc(index), kind))
            }
            (Some(("$each", name)), Variables::Effect { each, .. }) => {
                field_of(each, name).map(|(index, kind)| (Variable::Each(index), kind))
            }
            _ => None,
        };
        match found {
            None => self.refuse("unknown_variable", format!("unknown variable `{text}`")),
            Some((_, found)) if !found.fits(kind) => self.refuse(
                "wrong_type",
                format!(
                    "`{text}` is a {} where a {} is compared",
                    found.word(),
                    kind.word()
                ),
            ),
            Some((variable, _)) => Some(Operand::Variable(variable)),
        }
    }
}
