//! Which tier holds a collection, and under which name.

use crate::{
    declare::{CollectionDeclaration, RecentTierDeclaration, TruthTierDeclaration},
    mistake::Mistake,
    record::Excerpts,
    schema::{Catalog, Collection, RecentTier, Tiers, fields},
};

use super::{Report, each, index::field_index, period};

const WINDOW: &str = "30d";
/// How the names begin of what the server keeps in MongoDB for itself.
const OWN: &str = "nubo_";

pub(super) fn tiers(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    report: &mut Report<'_>,
) -> Tiers {
    let declared = &declaration.tiers;
    report.inside("tiers", |report| {
        let cache = declared.cache.as_ref().map(|cache| {
            report.inside("cache", |report| {
                super::cache::declared(cache, collection, report)
            })
        });
        let recent = declared.recent.as_ref().map(|recent| {
            report.inside("recent", |report| self::recent(recent, collection, report))
        });
        let (table, truth) = match &declared.truth {
            None => (collection.name.clone(), true),
            Some(TruthTierDeclaration::Word(_)) => (collection.name.clone(), false),
            Some(TruthTierDeclaration::Options(options)) => (
                options
                    .table
                    .clone()
                    .unwrap_or_else(|| collection.name.clone()),
                true,
            ),
        };
        report.inside("truth", |report| {
            if !truth && recent.is_none() {
                report.value("without truth a collection needs `recent`", None);
            }
            // The collection's own name is checked where it stands.
            if !fields::is_identifier(&table) && table != collection.name {
                report.inside("table", |report| {
                    report.value(
                        "must be lower-case letters, digits and underscores, a letter first",
                        None,
                    );
                });
            }
        });
        Tiers {
            cache,
            recent,
            table,
            truth,
        }
    })
}

fn recent(
    declared: &RecentTierDeclaration,
    collection: &Collection,
    report: &mut Report<'_>,
) -> RecentTier {
    let shard_key = declared
        .shard_key
        .as_ref()
        .and_then(|key| report.inside("shard_key", |report| shard_key(collection, key, report)));
    let window = declared.window.as_deref().unwrap_or(WINDOW);
    let window = report.inside("window", |report| period(window, report));
    let name = declared.collection.clone();
    let name = name.unwrap_or_else(|| format!("{}_recent", collection.name));
    if !is_collection_name(&name) {
        report.inside("collection", |report| {
            report.value(
                "must be letters, digits, underscores, hyphens and dots, a letter first, at most 120",
                None,
            );
        });
    } else if name.starts_with(OWN) {
        let message =
            format!("`{name}` is not free: names that begin with `{OWN}` are those of the server");
        match &declared.collection {
            Some(_) => report.inside("collection", |report| report.value(message, None)),
            None => report.value(message, None),
        }
    }
    RecentTier {
        collection: name,
        window: window.unwrap_or_default(),
        shard_key,
        excerpts: Excerpts::new(Vec::new(), 0),
    }
}

/// The field by which documents are spread. It must not change, because a document cannot move from
/// one place to another in one step.
fn shard_key(collection: &Collection, name: &str, report: &mut Report<'_>) -> Option<usize> {
    let index = field_index(collection, name, report)?;
    let field = &collection.fields()[index];
    if index == Collection::ID {
        return None;
    }
    if !field.kind.is_ordered() {
        let kind = field.kind.word();
        report.value(format!("`{name}` is a {kind}, which has no order"), None);
    } else if !(field.required && field.immutable) && index != collection.created_at() {
        let message = format!("`{name}` must be `required` and `immutable` to be a shard key");
        report.value(message, None);
    }
    Some(index)
}

/// What MongoDB takes for the name of a collection, beside a database's and an index's.
fn is_collection_name(name: &str) -> bool {
    name.len() <= 120
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !name.starts_with("system.")
}

/// Each collection has a table, and one in the recent tier, to itself.
pub(super) fn own_names(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    catalog: &Catalog,
    mistakes: &mut Vec<Mistake>,
) {
    let mut tables = Names::default();
    let mut recent = Names::default();
    let mut position = 0;
    each(declarations, excused, mistakes, |_, report| {
        let collection = &catalog.collections[position];
        position += 1;
        if collection.is_flux {
            return;
        }
        let tiers = &collection.tiers;
        report.inside("tiers", |report| {
            if let Some(owner) = tables.claim(&tiers.table, &collection.name) {
                let message = format!("the table `{}` belongs to `{owner}` already", tiers.table);
                report.value(message, None);
            }
            let Some(RecentTier {
                collection: name, ..
            }) = &tiers.recent
            else {
                return;
            };
            if let Some(owner) = recent.claim(name, &collection.name) {
                let message = format!("`{name}` belongs to `{owner}` already");
                report.inside("recent", |report| report.value(message, None));
            }
        });
    });
}

/// Which names are taken, and by whom.
#[derive(Default)]
struct Names<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Names<'a> {
    /// Takes a name, or says who else has it.
    fn claim(&mut self, name: &'a str, owner: &'a str) -> Option<&'a str> {
        let other = self
            .0
            .iter()
            .find(|(taken, by)| *taken == name && *by != owner);
        let other = other.map(|(_, by)| *by);
        if other.is_none() {
            self.0.push((name, owner));
        }
        other
    }
}
