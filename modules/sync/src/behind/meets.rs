//! Which reads and writes may meet what is queued. Found out once, from the collections alone, so
//! that those which cannot pay nothing.

use std::collections::HashSet;

use nubo_core::{
    declare::{OnDelete, Trigger},
    field::FieldType,
    schema::{Catalog, Collection, CollectionId, EffectAction, Rule},
    write::Operation,
};

/// What may meet the queue, by the places of collections in the catalog.
pub(super) struct Meets {
    /// What is queued may change documents there.
    touched: Vec<bool>,
    reading: Vec<bool>,
    creating: Vec<bool>,
    updating: Vec<bool>,
    deleting: Vec<bool>,
}

impl Meets {
    pub fn of(catalog: &Catalog) -> Self {
        let mut walk = Walk {
            catalog,
            touched: &[],
            seen: HashSet::new(),
        };
        for collection in catalog.collections() {
            if collection.is_behind() {
                walk.meets(collection, Trigger::Create);
            }
        }
        let mut touched = vec![false; catalog.collections().len()];
        for (collection, _) in walk.seen {
            touched[collection.index()] = true;
        }
        let writing = |kind| {
            let collections = catalog.collections().iter();
            let meets = collections.map(|collection| {
                let mut walk = Walk {
                    catalog,
                    touched: &touched,
                    seen: HashSet::new(),
                };
                walk.meets(collection, kind)
            });
            meets.collect()
        };
        let reading = catalog.collections().iter().map(|collection| {
            let fields = collection.access.fields.iter();
            let shown = fields.map(|field| &field.readable_by);
            let mut rules = shown.chain([&collection.access.read]);
            at(&touched, collection.id) || rules.any(|rule| looks(rule, &touched))
        });
        Self {
            reading: reading.collect(),
            creating: writing(Trigger::Create),
            updating: writing(Trigger::Update),
            deleting: writing(Trigger::Delete),
            touched,
        }
    }

    /// Whether anything is ever queued.
    pub fn any(&self) -> bool {
        self.touched.contains(&true)
    }

    /// Whether what is queued may change documents of a collection.
    pub fn touched(&self, collection: CollectionId) -> bool {
        at(&self.touched, collection)
    }

    /// Whether who reads this collection must not miss what is queued.
    pub fn reading(&self, collection: CollectionId) -> bool {
        at(&self.reading, collection)
    }

    /// Whether an operation may touch what is queued, or look at it.
    pub fn writing(&self, operation: &Operation) -> bool {
        let kind = match operation {
            Operation::Create { .. } => &self.creating,
            Operation::Update { .. } => &self.updating,
            Operation::Delete { .. } => &self.deleting,
        };
        at(kind, operation.collection())
    }
}

fn at(flags: &[bool], collection: CollectionId) -> bool {
    flags.get(collection.index()).is_some_and(|flag| *flag)
}

/// Whether a rule looks into a collection in which something may change yet.
fn looks(rule: &Option<Rule>, touched: &[bool]) -> bool {
    let mut found = false;
    if let Some(rule) = rule {
        rule.for_each_selected(&mut |selected| found |= at(touched, selected));
    }
    found
}

/// The way from a write to everything that it may cause, up to what is touched.
struct Walk<'a> {
    catalog: &'a Catalog,
    touched: &'a [bool],
    seen: HashSet<(CollectionId, Trigger)>,
}

impl Walk<'_> {
    fn meets(&mut self, collection: &Collection, kind: Trigger) -> bool {
        if !self.seen.insert((collection.id, kind)) {
            return false;
        }
        at(self.touched, collection.id)
            || self.rules_look(collection, kind)
            || match kind {
                Trigger::Create | Trigger::Update => self.refers(collection),
                Trigger::Delete => self.is_referred_to(collection),
            }
            || self.effects(collection, kind)
    }

    fn rules_look(&self, collection: &Collection, kind: Trigger) -> bool {
        let access = &collection.access;
        // What may not be read is not there for who writes either.
        let mut rules = match kind {
            Trigger::Create => vec![&access.create],
            Trigger::Update => vec![&access.update, &access.read],
            Trigger::Delete => vec![&access.delete, &access.read],
        };
        let fields = access.fields.iter();
        rules.extend(fields.flat_map(|field| [&field.readable_by, &field.writable_by]));
        rules.into_iter().any(|rule| looks(rule, self.touched))
    }

    /// Whether it refers to what must exist and may come yet.
    fn refers(&self, collection: &Collection) -> bool {
        let mut fields = collection.fields().iter();
        fields.any(|field| {
            let mut kind = &field.kind;
            while let FieldType::List(item) = kind {
                kind = item;
            }
            matches!(kind, FieldType::Ref(to) if at(self.touched, to.collection))
        })
    }

    /// Whether what refers to it may come yet, or follows it.
    fn is_referred_to(&mut self, collection: &Collection) -> bool {
        let catalog = self.catalog;
        let mut found = false;
        for reverse in &collection.referenced_by {
            let other = catalog.get(reverse.collection);
            found |= match reverse.on_delete {
                OnDelete::Restrict => at(self.touched, other.id),
                OnDelete::Cascade => self.meets(other, Trigger::Delete),
                OnDelete::SetNull => self.meets(other, Trigger::Update),
            };
        }
        found
    }

    fn effects(&mut self, collection: &Collection, kind: Trigger) -> bool {
        let catalog = self.catalog;
        let touched = self.touched;
        let mut found = false;
        for effect in collection.effects.iter().filter(|effect| effect.on == kind) {
            let mut selected = |selected: CollectionId| found |= at(touched, selected);
            if let Some((through, condition)) = &effect.for_each {
                selected(*through);
                condition.for_each_selected(&mut selected);
            }
            let (target, kind) = match &effect.action {
                EffectAction::Create { collection, .. } => (collection, Trigger::Create),
                EffectAction::Update {
                    collection,
                    condition,
                    ..
                } => {
                    condition.for_each_selected(&mut selected);
                    (collection, Trigger::Update)
                }
                EffectAction::Delete {
                    collection,
                    condition,
                } => {
                    condition.for_each_selected(&mut selected);
                    (collection, Trigger::Delete)
                }
            };
            found |= self.meets(catalog.get(*target), kind);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use nubo_core::{
        change::Change,
        document::Document,
        filter::Expr,
        write::{Operation, Target},
    };
    use serde_json::json;

    use super::*;

    /// `visits` is behind, and `counts` follows it.
    fn catalog() -> Catalog {
        let declarations = json!([
            { "name": "people", "fields": { "name": "text" } },
            { "name": "pages", "fields": { "title": "text", "count": "int" },
              "effects": [{ "on": "update", "update": "notes", "where": {}, "set": { "line": "x" } }] },
            { "name": "visits", "write": "behind", "fields": {
                "page": { "type": "ref", "to": "pages", "on_delete": "cascade" }, "who": "ref(people)" },
              "effects": [{ "on": "create", "update": "counts", "where": {}, "change": { "$inc": { "n": 1 } } }] },
            { "name": "counts", "fields": { "n": "int" } },
            { "name": "replies", "fields": { "visit": "ref(visits)", "text": "text" } },
            { "name": "secrets", "fields": { "text": "text" }, "access": { "read": {
                "id": { "$in": { "$select": "visits.id", "$where": { "who": "$auth.id" } } } } } },
            { "name": "notes", "fields": { "line": "text" } },
            { "name": "causes", "fields": { "text": "text" }, "effects": [
                { "on": "create", "create": "links", "set": { "n": 1 } }] },
            { "name": "links", "fields": { "n": "int" }, "effects": [
                { "on": "create", "delete": "visits", "where": { "page": null } }] },
        ]);
        let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
        Catalog::compile(&declarations, &[]).unwrap()
    }

    #[test]
    fn only_what_may_meet_the_queue_waits_for_it() {
        let catalog = catalog();
        let meets = Meets::of(&catalog);
        let id = |name: &str| catalog.named(name).unwrap().id;
        let writing = |name: &str| {
            let collection = id(name);
            let document = Document::empty(catalog.get(collection));
            let target = || Target::Matching(Expr::always());
            let change = Change { steps: Vec::new() };
            [
                Operation::Create {
                    collection,
                    document,
                },
                Operation::Update {
                    collection,
                    target: target(),
                    change,
                },
                Operation::Delete {
                    collection,
                    target: target(),
                },
            ]
            .map(|operation| meets.writing(&operation))
        };
        let names = [
            "people", "pages", "visits", "replies", "secrets", "notes", "causes",
        ];
        let reading = names.map(|name| meets.reading(id(name)));
        assert_eq!(reading, [false, false, true, false, true, false, false]);
        assert_eq!(writing("notes"), [false, false, false]);
        // A visit that is queued refers to a person, and goes with its page.
        assert_eq!(writing("people"), [false, false, true]);
        assert_eq!(writing("pages"), [false, false, true]);
        assert_eq!(writing("visits"), [true, true, true]);
        // What is set here comes after what was acknowledged before.
        assert_eq!(writing("counts"), [true, true, true]);
        assert_eq!(writing("replies"), [true, true, false]);
        // What may not be read is not there for who writes.
        assert_eq!(writing("secrets"), [false, true, true]);
        // An effect of an effect.
        assert_eq!(writing("causes"), [true, false, false]);
        assert!(meets.any());
    }
}
