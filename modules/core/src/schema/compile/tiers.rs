//! Which tier holds a collection, and under which name.

use crate::{
    declare::{CollectionDeclaration, TruthTierDeclaration},
    mistake::Mistake,
    schema::{Catalog, Collection, Tiers, fields},
};

use super::{Report, each, index::field_index, period};

const WINDOW: &str = "30d";

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
            report.inside("recent", |report| {
                if let Some(key) = &recent.shard_key {
                    report.inside("shard_key", |report| field_index(collection, key, report));
                }
                let window = recent.window.as_deref().unwrap_or(WINDOW);
                let window = report.inside("window", |report| period(window, report));
                let name = recent.collection.clone();
                let name = name.unwrap_or_else(|| format!("{}_recent", collection.name));
                (name, window.unwrap_or_default())
            })
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

pub(super) fn table_names(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    catalog: &Catalog,
    mistakes: &mut Vec<Mistake>,
) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let mut position = 0;
    each(declarations, excused, mistakes, |_, report| {
        let collection = &catalog.collections[position];
        position += 1;
        if collection.is_flux {
            return;
        }
        let table = collection.tiers.table.as_str();
        match seen
            .iter()
            .find(|(seen, owner)| *seen == table && *owner != collection.name)
        {
            Some((_, owner)) => report.inside("tiers", |report| {
                report.value(
                    format!("the table `{table}` belongs to `{owner}` already"),
                    None,
                );
            }),
            None => seen.push((table, &collection.name)),
        }
    });
}
