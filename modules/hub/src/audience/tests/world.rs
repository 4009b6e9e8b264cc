//! Documents in memory, a hub that hears of their changes later, and those who want to see them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use nubo_core::{
    caller::{Account, Caller},
    declare::CollectionDeclaration,
    document::Document,
    field::Source,
    id::{Id, Revision},
    observe::Touched,
    schema::{Catalog, Collection},
    time::Timestamp,
    value::Value,
};
use serde_json::{Value as Json, json};

use super::rules::{CITIES, PEOPLE, STORED};
use crate::{
    audience::{Affected, Audience, Gates, Lookups},
    fake::Memory,
};

/// What there is to be looked up, under a rule for `things`.
pub struct World {
    catalog: Catalog,
    gates: Gates,
    lookups: Lookups,
    store: Memory,
    /// Commits of which the hub has yet to hear.
    unheard: VecDeque<Touched>,
    revision: i64,
    /// Whether some audience could not be told without asking.
    asked: bool,
}

/// Whether somebody sees something: as the gate says, and as the rule says that is bound to them.
pub struct Look {
    pub says: bool,
    pub bound: bool,
}

/// Somebody of each kind: nobody, with all that rules mention, with another account, an editor
/// without a city, an admin.
pub fn callers() -> [Caller; 5] {
    let account = |person: usize, roles: &[&str], fields: &[(&str, Value)]| {
        let id = PEOPLE[person].parse().unwrap();
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        Caller::account(Account::new(id, roles).with_fields(fields.collect::<BTreeMap<_, _>>()))
    };
    let city = |index: usize| ("city", Value::Text(CITIES[index].to_owned()));
    let level = |level: i64| ("level", Value::Int(level));
    [
        Caller::Anonymous,
        account(0, &[], &[city(0), level(2)]),
        account(1, &["user"], &[city(1), level(0)]),
        account(2, &["editor"], &[level(3)]),
        Caller::account(Account::new(
            "00000000-0000-7000-8000-00000000000d".parse().unwrap(),
            vec!["admin".into()],
        )),
    ]
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_763_761_500_123)
}

fn id(number: usize) -> Id {
    let text = format!("00000000-0000-7000-9000-{number:012}");
    text.parse().unwrap()
}

impl World {
    pub fn new(rule: &Json) -> Self {
        let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
            {
                "name": "things",
                "owner": "owner_id",
                "access": { "read": rule },
                "fields": {
                    "owner_id": "uuid", "people": "uuid[]", "room_id": "uuid", "number": "int",
                    "city": "text", "cities": "text[]", "meta": "json",
                    "weight": "float",
                },
            },
            { "name": "members", "fields": {
                "room_id": "uuid", "rooms": "uuid[]", "user_id": "uuid", "people": "uuid[]",
                "level": "int", "city": "text", "weight": "float",
            } },
            { "name": "links", "fields": { "link": "int", "user_id": "uuid" } },
        ]))
        .unwrap();
        let catalog = Catalog::compile(&declarations, &[]).unwrap();
        let gates = Gates::new(&catalog);
        Self {
            lookups: Lookups::new(gates.lookups()),
            store: Memory::new(&catalog, STORED),
            catalog,
            gates,
            unheard: VecDeque::new(),
            revision: 0,
            asked: false,
        }
    }

    pub fn things(&self) -> &Collection {
        self.catalog.named("things").unwrap()
    }

    fn document(&self, collection: &Collection, number: usize, json: &Json) -> Document {
        let mut document = collection.read_document(json, Source::Json).unwrap();
        collection
            .complete(&mut document, now(), None, || id(number))
            .unwrap();
        document
    }

    /// A document is there from now on, in the place of the one that had this number. Where that is
    /// of another collection, it goes first.
    pub fn put(&mut self, at: usize, json: &Json) {
        let collection = match json.get("link") {
            Some(_) => "links",
            None => "members",
        };
        let collection = Arc::clone(self.catalog.named(collection).unwrap());
        let mut document = self.document(&collection, at, json);
        self.revision += 1;
        document.set_revision(Revision::new(self.revision));
        let held = self.store.held(at);
        if held.as_ref().is_some_and(|(of, _)| *of != collection.id) {
            self.delete(at);
        }
        let before = self
            .store
            .replace(at, Some((collection.id, document.clone())));
        self.unheard.push_back(Touched {
            collection: collection.id,
            before: before.map(|(_, before)| before),
            after: Some(document),
        });
    }

    pub fn delete(&mut self, at: usize) {
        if let Some((collection, before)) = self.store.replace(at, None) {
            self.unheard.push_back(Touched {
                collection,
                before: Some(before),
                after: None,
            });
        }
    }

    /// The hub hears of everything, or of the commit that waits longest.
    pub fn hear(&mut self) -> Option<(Touched, Vec<Affected>)> {
        let touched = self.unheard.pop_front()?;
        let affected = self.lookups.apply(&touched, &self.catalog);
        Some((touched, affected))
    }

    /// For whom a thing is, with everything fetched and asked that must be.
    pub fn audience(&mut self, thing: &Json) -> Audience {
        let things = Arc::clone(self.catalog.named("things").unwrap());
        let document = self.document(&things, STORED, thing);
        let gate = &self.gates.of(things.id).read;
        self.lookups.make_room();
        let audience = loop {
            match gate.audience(&document, &things, &self.catalog, &self.lookups) {
                Ok(audience) => break audience,
                Err(missing) => {
                    for (lookup, value) in missing.0 {
                        let query = self.lookups.of(lookup).query(&value, &self.catalog);
                        let found = self.store.matching(query.collection, &query.filter);
                        self.lookups.put(lookup, &value, found);
                    }
                }
            }
        };
        self.asked |= audience.asks();
        let callers = callers();
        let asking = audience.ask(&callers, now(), &self.catalog, &self.store);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.build().unwrap().block_on(asking).unwrap()
    }

    /// What is known of look-ups is to take no more room than so many rows.
    pub fn limit(&mut self, most_rows: usize) {
        self.lookups = Lookups::with_room(self.gates.lookups(), most_rows);
    }

    /// How many rows are known.
    pub fn rows(&self) -> usize {
        self.lookups.rows()
    }

    /// Whether some audience could not be told without asking.
    pub const fn asks(&self) -> bool {
        self.asked
    }

    pub fn look(&self, audience: &Audience, caller: &Caller, thing: &Json) -> Look {
        let things = self.things();
        let document = self.document(things, STORED, thing);
        let view = things.view(caller, now());
        Look {
            says: audience.includes(caller, now(), &self.catalog),
            bound: view
                .condition
                .matches(&document, things.fields(), &self.store),
        }
    }

    /// What each of [`callers`] sees of the things, as the gate says.
    pub fn seen(&mut self, things: &[Json]) -> Vec<Vec<bool>> {
        let audiences: Vec<Audience> = things.iter().map(|thing| self.audience(thing)).collect();
        let sees = |caller: &Caller| {
            let audiences = audiences.iter();
            let sees = audiences.map(|audience| audience.includes(caller, now(), &self.catalog));
            sees.collect()
        };
        callers().iter().map(sees).collect()
    }
}
