//! From declarations to a catalog, or to everything that is wrong with them.
//!
//! In two passes, because everything may refer to everything: first the names and fields of all
//! collections, then what mentions them: orders and indexes ([`index`]), tiers, access rules
//! ([`rule`]) and effects.

mod alone;
mod behind;
mod cache;
mod effect;
mod index;
mod realtime;
mod rename;
mod report;
mod rule;
mod tiers;
mod unique;

use std::{collections::HashMap, sync::Arc};

use super::{Access, Catalog, Collection, CollectionId, Realtime, Reverse, Tiers, fields};
use crate::{
    declare::{CollectionDeclaration, Kind},
    field::{Field, FieldType},
    mistake::Mistake,
    violation::Pointer,
};
use index::field_index;
pub(super) use report::Report;

impl Catalog {
    /// Compiles collections. `reserved` are names that no collection may have, because routes of
    /// the server do.
    pub fn compile(
        declarations: &[CollectionDeclaration],
        reserved: &[&str],
    ) -> Result<Self, Vec<Mistake>> {
        Self::compile_with_gaps(declarations, reserved, &[])
    }

    /// The same where some collections could not be read: nothing is said about mentions of those.
    pub fn compile_with_gaps(
        declarations: &[CollectionDeclaration],
        reserved: &[&str],
        unread: &[String],
    ) -> Result<Self, Vec<Mistake>> {
        // Collections without storage come last, so that the others are the beginning of the list.
        let mut order: Vec<usize> = (0..declarations.len()).collect();
        order.sort_by_key(|index| declarations[*index].kind);
        let ordered: Vec<_> = order.iter().map(|i| declarations[*i].clone()).collect();
        Self::compile_in_order(&ordered, reserved, unread).map_err(|mut mistakes| {
            for mistake in &mut mistakes {
                mistake.declaration = order[mistake.declaration];
            }
            mistakes
        })
    }

    fn compile_in_order(
        declarations: &[CollectionDeclaration],
        reserved: &[&str],
        unread: &[String],
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut catalog = names(declarations, reserved, unread, &mut mistakes);
        let field_lists: Vec<Vec<Field>> = each(
            declarations,
            unread,
            &mut mistakes,
            |declaration, report| fields::compile(&declaration.fields, &catalog, report),
        );
        for (slot, fields) in catalog.collections.iter_mut().zip(field_lists) {
            let collection = Arc::make_mut(slot);
            collection.by_name = fields
                .iter()
                .enumerate()
                .map(|(index, field)| (field.name.clone(), index))
                .collect();
            collection.sent = (0..fields.len()).filter(|i| fields[*i].is_sent()).collect();
            collection.fields = fields;
        }
        if !mistakes.is_empty() {
            // What follows would only repeat them: a field of unknown type has no operators.
            let known: Vec<_> = mistakes
                .iter()
                .map(|m| (m.declaration, m.pointer.clone()))
                .collect();
            details(declarations, unread, &mut catalog, &mut mistakes);
            let mut later = mistakes.split_off(known.len());
            later.retain(|m| !known.contains(&(m.declaration, m.pointer.clone())));
            mistakes.extend(later);
            return Err(mistakes);
        }
        details(declarations, unread, &mut catalog, &mut mistakes);
        if mistakes.is_empty() {
            Ok(catalog)
        } else {
            Err(mistakes)
        }
    }
}

fn each<T>(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    mistakes: &mut Vec<Mistake>,
    mut part: impl FnMut(&CollectionDeclaration, &mut Report<'_>) -> T,
) -> Vec<T> {
    declarations
        .iter()
        .enumerate()
        .map(|(index, declaration)| {
            let broken = declaration
                .fields
                .keys()
                .filter(|name| {
                    let pointer = format!("/fields/{name}");
                    mistakes.iter().any(|mistake| {
                        mistake.declaration == index
                            && matches!(mistake.pointer.strip_prefix(&pointer), Some("" | "/type"))
                    })
                })
                .cloned()
                .collect();
            let mut report = Report {
                declaration: index,
                at: Pointer::root(),
                mistakes,
                excused,
                broken,
                names_owner: declaration.owner.is_some(),
            };
            part(declaration, &mut report)
        })
        .collect()
}

/// Names and ids of all collections, nothing else in them yet.
fn names(
    declarations: &[CollectionDeclaration],
    reserved: &[&str],
    excused: &[String],
    mistakes: &mut Vec<Mistake>,
) -> Catalog {
    let mut catalog = Catalog::default();
    each(declarations, excused, mistakes, |declaration, report| {
        let name = declaration.name.as_str();
        let id = CollectionId(u16::try_from(catalog.collections.len()).unwrap_or(u16::MAX));
        report.inside("name", |report| {
            if !fields::is_identifier(name) {
                report.value(
                    "must be lower-case letters, digits and underscores, a letter first",
                    None,
                );
            } else if reserved.contains(&name) {
                report.value(
                    format!("`{name}` is reserved for a route of the server"),
                    None,
                );
            } else if catalog.by_name.contains_key(name) {
                report.value(format!("there is another collection called `{name}`"), None);
            }
        });
        catalog.by_name.entry(name.to_owned()).or_insert(id);
        catalog.stored += usize::from(declaration.kind == Kind::Stored);
        catalog.collections.push(Arc::new(blank(id, declaration)));
    });
    catalog
}

fn blank(id: CollectionId, declaration: &CollectionDeclaration) -> Collection {
    Collection {
        id,
        name: declaration.name.clone(),
        singular: declaration
            .singular
            .clone()
            .unwrap_or_else(|| singular(&declaration.name)),
        renamed_from: declaration.renamed_from.clone(),
        description: declaration.description.clone(),
        domain: declaration.domain.clone().unwrap_or_else(|| "main".into()),
        fields: Vec::new(),
        by_name: HashMap::new(),
        sent: Vec::new(),
        virtual_fields: declaration.virtual_fields.clone(),
        owner: None,
        order: Vec::new(),
        indexes: Vec::new(),
        tiers: Tiers::default(),
        access: Access::default(),
        effects: Vec::new(),
        referenced_by: Vec::new(),
        realtime: Realtime::default(),
        is_flux: declaration.kind == Kind::Flux,
        expires_after: None,
        append_only: declaration.append_only,
        write: declaration.write,
    }
}

/// `categories` → `category`, `posts` → `post`; a word without a plural stays as it is.
fn singular(name: &str) -> String {
    match name {
        _ if name.ends_with("ies") => format!("{}y", &name[..name.len() - 3]),
        _ if name.ends_with('s') && !name.ends_with("ss") => name[..name.len() - 1].to_owned(),
        _ => name.to_owned(),
    }
}

/// Everything that mentions fields and collections.
fn details(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    catalog: &mut Catalog,
    mistakes: &mut Vec<Mistake>,
) {
    let mut position = 0;
    let filled = each(declarations, excused, mistakes, |declaration, report| {
        let mut collection = (*catalog.collections[position]).clone();
        position += 1;
        fill(declaration, &mut collection, catalog, report);
        Arc::new(collection)
    });
    catalog.collections = filled;
    let mut reverse: Vec<(CollectionId, Reverse)> = Vec::new();
    for collection in catalog.collections() {
        for (field, found) in collection.declared_fields() {
            let (kind, list) = match &found.kind {
                FieldType::List(item) => (&**item, true),
                kind => (kind, false),
            };
            if let FieldType::Ref(target) = kind {
                reverse.push((
                    target.collection,
                    Reverse {
                        collection: collection.id,
                        field,
                        on_delete: target.on_delete,
                        list,
                    },
                ));
            }
        }
    }
    for (target, reverse) in reverse {
        if let Some(slot) = catalog.collections.get_mut(target.index()) {
            Arc::make_mut(slot).referenced_by.push(reverse);
        }
    }
    tiers::own_names(declarations, excused, catalog, mistakes);
    rename::check(declarations, excused, mistakes);
    behind::check(declarations, excused, catalog, mistakes);
    alone::check(declarations, excused, catalog, mistakes);
    cache::complete(catalog);
}

fn fill(
    declaration: &CollectionDeclaration,
    collection: &mut Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) {
    if let Some(domain) = &declaration.domain
        && !fields::is_identifier(domain)
    {
        report.inside("domain", |report| {
            report.value(
                "must be lower-case letters, digits and underscores, a letter first",
                None,
            );
        });
    }
    collection.owner = declaration.owner.as_ref().and_then(|name| {
        report.inside("owner", |report| {
            let index = field_index(collection, name, report)?;
            match collection.fields[index].kind {
                FieldType::Ref(_) | FieldType::Uuid => Some(index),
                _ if report.is_broken(&collection.fields[index]) => None,
                _ => {
                    report.value(
                        format!("`{name}` holds no account id: it must be a ref or uuid"),
                        None,
                    );
                    None
                }
            }
        })
    });
    collection.order = index::order(declaration, collection, report);
    collection.indexes = index::indexes(declaration, collection, catalog, report);
    collection.tiers = tiers::tiers(declaration, collection, report);
    collection.access = rule::access(declaration, collection, catalog, report);
    collection.effects = report.inside("effects", |report| {
        declaration
            .effects
            .iter()
            .enumerate()
            .filter_map(|(index, effect)| {
                report.inside(index, |report| {
                    effect::effect(effect, collection, catalog, report)
                })
            })
            .collect()
    });
    report.inside("virtual_fields", |report| {
        for name in declaration.virtual_fields.keys() {
            report.inside(name, |report| check_virtual(name, collection, report));
        }
    });
    collection.realtime = realtime::realtime(declaration, collection, report);
    realtime::check_flux(declaration, report);
    collection.expires_after = declaration
        .expires_after
        .as_ref()
        .and_then(|text| report.inside("expires_after", |report| period(text, report)));
}

fn check_virtual(name: &str, collection: &Collection, report: &mut Report<'_>) {
    if !fields::is_identifier(name) {
        report.key("must be lower-case letters, digits and underscores, a letter first");
    } else if collection.by_name.contains_key(name) {
        report.key(format!("there is a stored field `{name}`"));
    }
}

/// A period such as `30d`, `12h`, `15m` or `10s`, in milliseconds.
fn period(text: &str, report: &mut Report<'_>) -> Option<i64> {
    let found = parse_period(text);
    if found.is_none() {
        report.value(
            format!("`{text}` is no period such as 30d, 12h, 15m or 10s"),
            None,
        );
    }
    found
}

/// Reads a period: a whole number and one of `ms s m h d w`. In milliseconds.
pub fn parse_period(text: &str) -> Option<i64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let size = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    number
        .parse::<i64>()
        .ok()?
        .checked_mul(size)
        .filter(|period| *period > 0)
}
