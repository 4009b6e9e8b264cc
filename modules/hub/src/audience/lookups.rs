//! What rules look up, kept in memory and kept right.
//!
//! A look-up is a sub-query without the caller: the members of one conversation, the friends of one
//! author. It is fetched when an event first needs it. From then on every commit that the hub hears
//! of is applied to it, in order; since the hub applies a commit before it looks at the events that
//! follow, what is known is never older than the event it is used for. It may be newer, where it was
//! fetched after commits that the hub has yet to hear of: those are applied again, and revisions
//! tell that they are old.

use std::{collections::HashMap, sync::Arc};

use nubo_core::{
    document::Document,
    filter::{Expr, Operand, Path, Select, Test},
    id::{Id, Revision},
    observe::Touched,
    query::{Query, Start},
    schema::{Catalog, Collection, CollectionId, SortKey},
    value::Value,
};

use super::Node;

/// Rows of one look-up beyond which it is not kept; callers are asked for one by one then.
const MOST_ROWS_EACH: u32 = 100_000;
/// Rows of all of them, where each thing that is known counts as one more, even if it is that there
/// are none. Beyond that all are forgotten and fetched again as they are needed.
const MOST_ROWS: usize = 1_000_000;

/// A sub-query of some rule.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    /// As the rule has it.
    pub select: Select<Operand>,
    /// The part of its condition that is the same for every caller.
    pub fixed: Expr,
    /// The field that holds the caller's id, where the rest of the condition is just that.
    pub member: Option<usize>,
    /// The rest of the condition.
    pub inner: Node,
    /// Fields that the condition looks at.
    pub mentioned: Vec<usize>,
    /// Collections whose rules make it.
    pub guarded: Vec<CollectionId>,
}

/// What a look-up has found for a value.
#[derive(Debug)]
pub(super) enum Known {
    /// Accounts, and by how many documents.
    Members(Arc<HashMap<Id, u32>>),
    /// Documents on which the rest of the condition is to be held.
    Documents(Vec<Document>),
    TooMany,
}

/// Who may see more or less than before, for reasons outside of the documents that are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Affected {
    /// Of which collections.
    pub collections: Vec<CollectionId>,
    /// None for everybody.
    pub accounts: Option<Vec<Id>>,
}

/// All look-ups and what is known of them.
pub(crate) struct Lookups {
    all: Vec<Lookup>,
    entries: HashMap<(usize, Key), Entry>,
    rows: usize,
    most_rows: usize,
}

struct Entry {
    known: Known,
    /// The account of each document and its revision, where accounts are known.
    members: HashMap<Id, (Revision, Id)>,
}

/// A value by which documents are looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Uuid(Id),
    Int(i64),
    Text(String),
    Bool(bool),
}

impl Key {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Uuid(uuid) => Self::Uuid(Id::from_uuid(*uuid)),
            Value::Int(number) => Self::Int(*number),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Bool(flag) => Self::Bool(*flag),
            _ => return None,
        })
    }
}

impl Lookup {
    /// The query for the documents that are found for a value.
    pub fn query(&self, value: &Value, catalog: &Catalog) -> Query {
        let collection = catalog.get(self.select.collection);
        let path = Path::to_field(self.select.field, &collection.fields()[self.select.field]);
        let is_it = Expr::field(path, Test::Equal(value.clone()));
        Query {
            collection: collection.id,
            filter: is_it.and(self.fixed.clone()),
            sort: vec![SortKey {
                field: Collection::ID,
                descending: false,
            }],
            start: Start::First,
            limit: MOST_ROWS_EACH + 1,
            fields: None,
        }
    }

    /// The values for which a document is found.
    fn keys(&self, document: Option<&Document>, catalog: &Catalog) -> Vec<Key> {
        let fields = catalog.get(self.select.collection).fields();
        let Some(document) = document.filter(|d| self.fixed.matches(d, fields, &())) else {
            return Vec::new();
        };
        match document.value(self.select.field) {
            Value::List(items) => items.iter().filter_map(Key::of).collect(),
            value => Key::of(value).into_iter().collect(),
        }
    }

    fn member_of(&self, document: &Document) -> Option<Id> {
        match document.value(self.member?) {
            Value::Uuid(uuid) => Some(Id::from_uuid(*uuid)),
            _ => None,
        }
    }
}

impl Lookups {
    pub fn new(all: Vec<Lookup>) -> Self {
        Self::with_room(all, MOST_ROWS)
    }

    /// Nothing known, and room for so many rows.
    pub fn with_room(all: Vec<Lookup>, most_rows: usize) -> Self {
        Self {
            all,
            entries: HashMap::new(),
            rows: 0,
            most_rows,
        }
    }

    /// Forgets everything where it has become too much. Before a gate is held against a document and
    /// never in between, or what that document needs might never be there all at once.
    pub fn make_room(&mut self) {
        if self.rows > self.most_rows {
            self.forget();
        }
    }

    /// The look-up with this number.
    pub fn of(&self, lookup: usize) -> &Lookup {
        &self.all[lookup]
    }

    /// The collections in which anything is looked up.
    pub fn collections(&self) -> Vec<CollectionId> {
        let mut collections: Vec<_> = self.all.iter().map(|l| l.select.collection).collect();
        collections.sort_unstable();
        collections.dedup();
        collections
    }

    /// What was found for a value, where it is known.
    pub(super) fn known(&self, lookup: usize, value: &Value) -> Option<&Known> {
        let key = (lookup, Key::of(value)?);
        self.entries.get(&key).map(|entry| &entry.known)
    }

    /// Notes what was found for a value.
    pub fn put(&mut self, lookup: usize, value: &Value, documents: Vec<Document>) {
        let Some(key) = Key::of(value) else {
            return;
        };
        let of = &self.all[lookup];
        let mut entry = Entry {
            known: Known::TooMany,
            members: HashMap::new(),
        };
        if documents.len() <= MOST_ROWS_EACH as usize {
            if of.member.is_some() {
                let mut accounts = HashMap::with_capacity(documents.len());
                for document in &documents {
                    if let (Some(id), Some(account)) = (document.id(), of.member_of(document)) {
                        *accounts.entry(account).or_insert(0) += 1;
                        entry.members.insert(id, (document.revision(), account));
                    }
                }
                entry.known = Known::Members(Arc::new(accounts));
            } else {
                entry.known = Known::Documents(documents);
            }
        }
        self.rows += 1 + entry.rows();
        if let Some(before) = self.entries.insert((lookup, key), entry) {
            self.rows -= 1 + before.rows();
        }
    }

    /// How many rows are known; for tests.
    #[cfg(test)]
    pub fn rows(&self) -> usize {
        let counted = self.entries.values().map(|entry| 1 + entry.rows()).sum();
        assert_eq!(self.rows, counted, "rows are counted right");
        counted
    }

    /// Forgets everything, as when commits were missed.
    pub fn forget(&mut self) {
        self.entries.clear();
        self.rows = 0;
    }

    /// Forgets what was looked up in a collection. The collections whose rules look into it.
    pub fn forget_in(&mut self, collection: CollectionId) -> Vec<CollectionId> {
        let all = &self.all;
        let is_in = |lookup: &Lookup| lookup.select.collection == collection;
        self.entries.retain(|(lookup, _), entry| {
            let stays = !is_in(&all[*lookup]);
            if !stays {
                self.rows -= 1 + entry.rows();
            }
            stays
        });
        let lookups = self.all.iter().filter(|lookup| is_in(lookup));
        let mut guarded: Vec<_> = lookups.flat_map(|lookup| lookup.guarded.clone()).collect();
        guarded.sort_unstable();
        guarded.dedup();
        guarded
    }

    /// Applies a commit. Who is affected by it.
    pub fn apply(&mut self, touched: &Touched, catalog: &Catalog) -> Vec<Affected> {
        let mut affected = Vec::new();
        for lookup in 0..self.all.len() {
            if self.all[lookup].select.collection == touched.collection {
                affected.extend(self.apply_to(lookup, touched, catalog));
            }
        }
        affected
    }

    fn apply_to(
        &mut self,
        lookup: usize,
        touched: &Touched,
        catalog: &Catalog,
    ) -> Option<Affected> {
        let of = &self.all[lookup];
        let (before, after) = (touched.before.as_ref(), touched.after.as_ref());
        let left = of.keys(before, catalog);
        let entered = of.keys(after, catalog);
        if left.is_empty() && entered.is_empty() {
            return None;
        }
        for key in &left {
            if let (Some(entry), Some(before)) =
                (self.entries.get_mut(&(lookup, key.clone())), before)
            {
                self.rows -= entry.remove(before);
            }
        }
        for key in &entered {
            if let (Some(entry), Some(after)) =
                (self.entries.get_mut(&(lookup, key.clone())), after)
            {
                self.rows += entry.insert(after, of);
            }
        }
        let accounts = match of.member {
            Some(_) => {
                let (was, is) = (
                    before.and_then(|document| of.member_of(document)),
                    after.and_then(|document| of.member_of(document)),
                );
                if left == entered && was == is {
                    return None;
                }
                let was = was.filter(|_| !left.is_empty());
                let is = is.filter(|_| !entered.is_empty());
                Some([was, is].into_iter().flatten().collect())
            }
            None => {
                let same = |field: &usize| {
                    before.map(|document| document.value(*field))
                        == after.map(|document| document.value(*field))
                };
                if left == entered && of.mentioned.iter().all(same) {
                    return None;
                }
                None
            }
        };
        Some(Affected {
            collections: of.guarded.clone(),
            accounts,
        })
    }
}

impl Entry {
    fn rows(&self) -> usize {
        match &self.known {
            Known::Members(_) => self.members.len(),
            Known::Documents(documents) => documents.len(),
            Known::TooMany => 0,
        }
    }

    /// Takes a version of a document out, unless a later one is known. How many rows that are.
    fn remove(&mut self, version: &Document) -> usize {
        let Some(id) = version.id() else {
            return 0;
        };
        match &mut self.known {
            Known::Members(accounts) => {
                let Some((revision, account)) = self.members.get(&id).copied() else {
                    return 0;
                };
                if revision > version.revision() {
                    return 0;
                }
                self.members.remove(&id);
                drop_one(Arc::make_mut(accounts), account);
                1
            }
            Known::Documents(documents) => {
                let before = documents.len();
                documents
                    .retain(|held| held.id() != Some(id) || held.revision() > version.revision());
                before - documents.len()
            }
            Known::TooMany => 0,
        }
    }

    /// Puts a version of a document in, unless a later one is known. How many rows that are.
    fn insert(&mut self, version: &Document, lookup: &Lookup) -> usize {
        let Some(id) = version.id() else {
            return 0;
        };
        match &mut self.known {
            Known::Members(accounts) => {
                let Some(account) = lookup.member_of(version) else {
                    return 0;
                };
                let accounts = Arc::make_mut(accounts);
                match self.members.get(&id).copied() {
                    Some((revision, _)) if revision >= version.revision() => return 0,
                    Some((_, old)) => drop_one(accounts, old),
                    None => {}
                }
                *accounts.entry(account).or_insert(0) += 1;
                let held = self.members.insert(id, (version.revision(), account));
                usize::from(held.is_none())
            }
            Known::Documents(documents) => {
                match documents.iter_mut().find(|held| held.id() == Some(id)) {
                    Some(held) if held.revision() >= version.revision() => {}
                    Some(held) => *held = version.clone(),
                    None => {
                        documents.push(version.clone());
                        return 1;
                    }
                }
                0
            }
            Known::TooMany => 0,
        }
    }
}

fn drop_one(accounts: &mut HashMap<Id, u32>, account: Id) {
    if let Some(count) = accounts.get_mut(&account) {
        *count -= 1;
        if *count == 0 {
            accounts.remove(&account);
        }
    }
}
