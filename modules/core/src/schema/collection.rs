//! One collection: its fields and everything that is said about them.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::{Access, CacheTier, CollectionId, Effect, Realtime};
use crate::{
    declare::{IndexKind, OnDelete, VirtualField, WriteMode},
    document::Document,
    error::{Error, Result},
    field::{self, DefaultValue, Direction, Field, FieldType, Source},
    filter::Expr,
    id::Id,
    record::Excerpts,
    time::Timestamp,
    value::Value,
    violation::{Pointer, Violation, kind_of},
};

/// A collection. Fields are addressed by their index: `id` first, then those that were declared,
/// then `created_at`, `updated_at` and `_rev`.
#[derive(Debug, Clone)]
pub struct Collection {
    pub id: CollectionId,
    pub name: String,
    /// What one document is called.
    pub singular: String,
    /// What it was called before.
    pub renamed_from: Option<String>,
    pub description: Option<String>,
    pub domain: String,
    pub(super) fields: Vec<Field>,
    pub(super) by_name: HashMap<String, usize>,
    pub(super) sent: Vec<usize>,
    /// What is not stored but found out at each read. Where fields are numbered, these follow the
    /// stored ones.
    pub(super) virtual_fields: IndexMap<String, VirtualField>,
    /// The field that names the owner's account.
    pub owner: Option<usize>,
    /// Default order of lists; ends in `id`.
    pub order: Vec<SortKey>,
    pub indexes: Vec<Index>,
    pub tiers: Tiers,
    pub access: Access,
    pub effects: Vec<Effect>,
    /// Fields of other collections (and its own) that reference this one.
    pub referenced_by: Vec<Reverse>,
    /// How its changes are announced.
    pub realtime: Realtime,
    /// Whether nothing of it is stored: what is published is heard and forgotten.
    pub is_flux: bool,
    /// Documents are deleted this many milliseconds after their creation.
    pub expires_after: Option<i64>,
    /// Documents cannot be changed or deleted through the API.
    pub append_only: bool,
    /// When a write is acknowledged.
    pub write: WriteMode,
}

/// A key of an order: a field and its direction. Nulls come first ascending, last descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    pub field: usize,
    pub descending: bool,
}

/// An index of the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    pub columns: Vec<IndexColumn>,
    pub unique: bool,
    pub condition: Expr,
    pub kind: IndexKind,
}

/// A column of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexColumn {
    pub field: usize,
    pub descending: bool,
}

/// Another collection's field that references this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reverse {
    pub collection: CollectionId,
    pub field: usize,
    pub on_delete: OnDelete,
    /// Whether the field holds a list of references.
    pub list: bool,
}

/// Where the documents are held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tiers {
    /// What the cache keeps; none where it is not cached.
    pub cache: Option<CacheTier>,
    /// What the recent tier keeps; none where it keeps nothing.
    pub recent: Option<RecentTier>,
    /// Name of the truth's table.
    pub table: String,
    /// Whether the truth holds it even where there is a recent tier.
    pub truth: bool,
}

/// What the recent tier keeps of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentTier {
    /// Name of the tier's own collection.
    pub collection: String,
    /// How long a document stays after its last use, in milliseconds.
    pub window: i64,
    /// The field by which documents are spread over a cluster, which never changes; none where that
    /// is the id.
    pub shard_key: Option<usize>,
    /// The values that stay beside a document's bytes: those that the cache asks about, or the access
    /// rules.
    pub excerpts: Excerpts,
}

impl Collection {
    /// Index of `id`.
    pub const ID: usize = 0;

    /// All fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether new documents are acknowledged before they are carried out.
    pub fn is_behind(&self) -> bool {
        self.write == WriteMode::Behind
    }

    /// Whether the recent tier is where its documents stay, and the truth has those that are on their
    /// way there. Without such a tier the truth has them all.
    pub const fn is_alone(&self) -> bool {
        !self.tiers.truth && !self.is_flux
    }

    /// The fields that were declared, with their indexes.
    pub fn declared_fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        let end = self.fields.len() - 3;
        self.fields[..end].iter().enumerate().skip(1)
    }

    /// Index of `created_at`.
    pub fn created_at(&self) -> usize {
        self.fields.len() - 3
    }

    /// Index of `updated_at`.
    pub fn updated_at(&self) -> usize {
        self.fields.len() - 2
    }

    /// Index of `_rev`.
    pub fn revision(&self) -> usize {
        self.fields.len() - 1
    }

    /// The field with this name, and its index.
    pub fn field_named(&self, name: &str) -> Option<(usize, &Field)> {
        let index = *self.by_name.get(name)?;
        Some((index, &self.fields[index]))
    }

    /// Indexes of the fields that are sent.
    pub fn sent_fields(&self) -> &[usize] {
        &self.sent
    }

    /// Indexes of the fields that are told to those who listen. What is not stored has no id, no
    /// times and no revision.
    pub fn announced_fields(&self) -> &[usize] {
        match self.is_flux {
            true => &self.sent[1..self.sent.len() - 3],
            false => &self.sent,
        }
    }

    /// What is found out at each read, by name.
    pub fn virtual_fields(&self) -> &IndexMap<String, VirtualField> {
        &self.virtual_fields
    }

    /// Number of a field that may be read, stored or virtual.
    pub fn readable_named(&self, name: &str) -> Option<usize> {
        match self.field_named(name) {
            Some((index, field)) => field.is_queryable().then_some(index),
            None => {
                let index = self.virtual_fields.get_index_of(name)?;
                Some(self.fields.len() + index)
            }
        }
    }

    /// Says that a field does not exist, and which one may have been meant.
    pub fn unknown_field(&self, name: &str) -> String {
        field::unknown_field(name, &self.fields)
    }

    /// The schema of a document as it is sent.
    pub fn output_schema(&self) -> Json {
        let mut schema = field::object_schema(&self.fields, Direction::Output);
        for (name, field) in &self.virtual_fields {
            schema["properties"][name] = field.json_schema();
        }
        schema
    }

    /// Reads an order such as `-created_at,id`. `id` is added where the order would have ties.
    pub fn read_sort(&self, text: &str) -> Result<Vec<SortKey>> {
        let mut keys: Vec<SortKey> = Vec::new();
        let mut violations = Vec::new();
        let mut refuse = |code, message| violations.push(Violation::new("/sort", code, message));
        for part in text.split(',').map(str::trim) {
            let (descending, name) = match part.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, part),
            };
            match self.field_named(name).filter(|(_, f)| f.is_queryable()) {
                None => refuse("unknown_field", self.unknown_field(name)),
                Some((_, found)) if !found.kind.is_ordered() => {
                    let kind = found.kind.word();
                    refuse(
                        "not_ordered",
                        format!("`{name}` is a {kind}, which has no order"),
                    );
                }
                Some((field, _)) if keys.iter().any(|key| key.field == field) => {
                    refuse("duplicate_field", format!("`{name}` is named twice"));
                }
                Some((field, _)) => keys.push(SortKey { field, descending }),
            }
        }
        if !violations.is_empty() {
            return Err(Error::BadRequest {
                code: "invalid_sort",
                detail: "the sort cannot be read".into(),
                errors: violations,
            });
        }
        Ok(Self::total_order(keys))
    }

    /// Adds `id` in the direction of the last key, so that no two documents tie.
    pub(super) fn total_order(mut keys: Vec<SortKey>) -> Vec<SortKey> {
        // Nothing that comes after the id can make a difference.
        if let Some(at) = keys.iter().position(|key| key.field == Self::ID) {
            keys.truncate(at + 1);
        } else {
            let descending = keys.last().is_some_and(|key| key.descending);
            keys.push(SortKey {
                field: Self::ID,
                descending,
            });
        }
        keys
    }

    /// Reads a new document from what a client sent: 422 with every violation. Defaults that need
    /// no clock are in; [`Collection::complete`] adds the rest.
    pub fn read_document(&self, json: &Json, source: Source) -> Result<Document> {
        let mut violations = Vec::new();
        let mut at = Pointer::root();
        let Json::Object(entries) = json else {
            let message = format!("must be an object, not {}", kind_of(json));
            return Err(Error::Invalid(vec![Violation::new(
                "",
                "wrong_type",
                message,
            )]));
        };
        for key in entries.keys() {
            let known = self.field_named(key);
            let message = match known {
                Some((Self::ID, _)) => continue,
                Some((_, field)) if field.is_accepted() => continue,
                Some((_, field)) if field.system => "is given by the server".to_owned(),
                _ => self.unknown_field(key),
            };
            let code = if known.is_some_and(|(_, f)| f.system) {
                "read_only"
            } else {
                "unknown_field"
            };
            at.at(key, |at| violations.push(at.violation(code, message)));
        }
        let mut document = Document::empty(self);
        for (index, field) in self.fields.iter().enumerate() {
            let given = entries
                .get(&field.name)
                .filter(|json| !json.is_null())
                .filter(|_| field.is_accepted() || index == Self::ID);
            match (given, &field.default) {
                (Some(json), _) => {
                    let value = at.at(&field.name, |at| {
                        field.read(json, source, at, &mut violations)
                    });
                    document.set(index, value.unwrap_or(Value::Null));
                }
                (None, Some(DefaultValue::Literal(value))) => document.set(index, value.clone()),
                (None, None) if !field.system => {
                    at.at(&field.name, |at| {
                        field.check(&Value::Null, at, &mut violations)
                    });
                }
                (None, _) => {}
            }
        }
        if violations.is_empty() {
            Ok(document)
        } else {
            Err(Error::Invalid(violations))
        }
    }

    /// Gives a new document what it still lacks: id, times, and the defaults that depend on the
    /// moment and the person. Checks what could not be checked before.
    pub fn complete(
        &self,
        document: &mut Document,
        now: Timestamp,
        account: Option<Id>,
        mut new_id: impl FnMut() -> Id,
    ) -> Result<()> {
        if document.id().is_none() {
            document.set(Self::ID, Value::Uuid(new_id().uuid()));
        }
        document.set(self.created_at(), Value::Timestamp(now));
        document.set(self.updated_at(), Value::Timestamp(now));
        let mut violations = Vec::new();
        let mut at = Pointer::root();
        for (index, field) in self.declared_fields() {
            if document.value(index).is_null() {
                let value = match &field.default {
                    Some(DefaultValue::Literal(value)) => value.clone(),
                    Some(DefaultValue::Now) if field.kind == FieldType::Date => {
                        Value::Date(now.date())
                    }
                    Some(DefaultValue::Now) => Value::Timestamp(now),
                    Some(DefaultValue::Uuid) => Value::Uuid(new_id().uuid()),
                    Some(DefaultValue::AuthId) => {
                        account.map_or(Value::Null, |id| Value::Uuid(id.uuid()))
                    }
                    None => Value::Null,
                };
                if value.is_null() && field.required {
                    at.at(&field.name, |at| {
                        field.check(&Value::Null, at, &mut violations)
                    });
                }
                document.set(index, value);
            } else {
                at.at(&field.name, |at| {
                    field
                        .limits
                        .check_relative(document.value(index), now, at, &mut violations);
                });
            }
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(violations))
        }
    }

    /// Reads the id in a path: 400 where it is no UUID.
    pub fn read_id(text: &str) -> Result<Id> {
        text.parse()
            .map_err(|_| Error::bad_request("invalid_id", "the id is not a UUID"))
    }
}
