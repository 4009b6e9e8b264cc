//! What the cache keeps of each collection: what its declaration says, and what the access rules of
//! all collections ask it.

use std::sync::Arc;

use crate::{
    declare::CacheTierDeclaration,
    field::FieldType,
    filter::{Expr, Operand, Root, Select, Test, Variable},
    position::{has_keys, is_orderable, item},
    record::Excerpts,
    schema::{CacheTier, Catalog, Collection, CollectionId, Rule},
};

use super::{Report, index::field_index, period};

/// What the declaration says. The rest follows in [`complete`], when all rules are known.
pub(super) fn declared(
    declaration: &CacheTierDeclaration,
    collection: &Collection,
    report: &mut Report<'_>,
) -> CacheTier {
    let fields: Vec<usize> = report.inside("sets", |report| {
        let names = declaration.sets.iter().enumerate();
        let fields = names.filter_map(|(position, name)| {
            report.inside(position, |report| {
                let field = field_index(collection, name, report)?;
                let found = &collection.fields[field];
                if !has_keys(item(&found.kind)) && !report.is_broken(found) {
                    let message = format!(
                        "`{name}` is a {}, by which the cache keeps no sets",
                        found.kind.word()
                    );
                    report.value(message, None);
                    return None;
                }
                Some(field)
            })
        });
        fields.collect()
    });
    let expires = declaration
        .expires
        .as_ref()
        .and_then(|text| report.inside("expires", |report| period(text, report)));
    let mut sets = vec![Vec::new()];
    for field in fields {
        add(&mut sets, vec![field]);
    }
    CacheTier {
        sets,
        excerpts: Excerpts::new(Vec::new(), 0),
        read_back: true,
        expires,
    }
}

/// Adds what the rules of all collections ask, and what must be kept beside each document for it.
pub(super) fn complete(catalog: &mut Catalog) {
    let mut asked = Asked {
        sets: vec![Vec::new(); catalog.collections.len()],
        fields: vec![Vec::new(); catalog.collections.len()],
    };
    for collection in catalog.collections() {
        let masks = collection.access.fields.iter();
        let rules = masks.filter_map(|field| field.readable_by.as_ref());
        for rule in rules.chain(&collection.access.read) {
            asked.by_rule(rule, collection, catalog);
        }
    }
    for (place, slot) in catalog.collections.iter_mut().enumerate() {
        let collection = Arc::make_mut(slot);
        let mut fields = std::mem::take(&mut asked.fields[place]);
        fields.extend(collection.order.iter().map(|key| key.field));
        fields.extend([Collection::ID, collection.revision()]);
        let mut cache = collection.tiers.cache.take();
        if let Some(cache) = &mut cache {
            for set in asked.sets[place].drain(..) {
                add(&mut cache.sets, set);
            }
            if !is_orderable(collection, &collection.order) {
                cache.sets.clear();
            }
            fields.extend(cache.sets.iter().flatten());
        }
        if collection.tiers.recent.is_some() {
            fields.push(collection.created_at());
        }
        let excerpts = Excerpts::new(fields, collection.fields.len());
        if let Some(recent) = &mut collection.tiers.recent {
            recent.excerpts = excerpts.clone();
        }
        let Some(mut cache) = cache else {
            continue;
        };
        cache.excerpts = excerpts;
        let mut kept = cache
            .excerpts
            .fields()
            .iter()
            .map(|i| &collection.fields[*i]);
        cache.read_back =
            kept.all(|field| field.is_sent() && !matches!(field.kind, FieldType::Object(_)));
        collection.tiers.cache = Some(cache);
    }
}

fn add(sets: &mut Vec<Vec<usize>>, mut set: Vec<usize>) {
    set.sort_unstable();
    set.dedup();
    if !sets.contains(&set) {
        sets.push(set);
    }
}

/// What the rules for reading ask of each collection, by its place.
struct Asked {
    /// The sets that answer their sub-queries.
    sets: Vec<Vec<Vec<usize>>>,
    /// The fields that they look at.
    fields: Vec<Vec<usize>>,
}

impl Asked {
    fn by_rule(&mut self, rule: &Rule, collection: &Collection, catalog: &Catalog) {
        match rule {
            Rule::Owner => self.fields[collection.id.index()].extend(collection.owner),
            Rule::Filter(expr) => self.by_filter(expr, collection.id, catalog),
            Rule::Any(rules) => {
                for rule in rules {
                    self.by_rule(rule, collection, catalog);
                }
            }
            Rule::Public | Rule::Authenticated | Rule::Nobody | Rule::Role(_) => {}
        }
    }

    fn by_filter(&mut self, expr: &Expr<Operand>, of: CollectionId, catalog: &Catalog) {
        match expr {
            Expr::All(parts) | Expr::Any(parts) => {
                for part in parts {
                    self.by_filter(part, of, catalog);
                }
            }
            Expr::Not(part) => self.by_filter(part, of, catalog),
            Expr::Test { path, test } => {
                if let Root::Field(field) = path.root {
                    self.fields[of.index()].push(field);
                }
                match test {
                    Test::InSelect(select) => self.by_select(select, catalog),
                    Test::ElemMatch(inner) => self.by_filter(inner, of, catalog),
                    _ => {}
                }
            }
        }
    }

    /// A sub-query is asked whether it finds a value, for a caller: so the documents with that value
    /// and what the caller gives are a set. Where the value is an id, the document is found by it.
    fn by_select(&mut self, select: &Select<Operand>, catalog: &Catalog) {
        let of = select.collection;
        self.fields[of.index()].push(select.field);
        self.by_filter(&select.condition, of, catalog);
        if select.field == Collection::ID {
            return;
        }
        let mut fields = vec![select.field];
        by_caller(&select.condition, &mut fields);
        let collection = catalog.get(of);
        let keyed = |field: &usize| has_keys(&collection.fields()[*field].kind);
        if fields.iter().all(keyed) {
            self.sets[of.index()].push(fields);
        }
    }
}

/// The fields of which a condition demands that they hold what the caller gives.
fn by_caller(condition: &Expr<Operand>, fields: &mut Vec<usize>) {
    match condition {
        Expr::All(parts) => parts.iter().for_each(|part| by_caller(part, fields)),
        Expr::Test {
            path,
            test: Test::Equal(Operand::Variable(Variable::Auth(name))),
        } if name != "roles" => fields.extend(path.whole_field()),
        _ => {}
    }
}
