//! A schema as a value: what the collections want, or what a database has.
//!
//! Both are made of the same parts, so that they can be compared ([`super::difference`]) and one be
//! turned into the other step by step ([`super::step`]). What a part does not say here, such as the
//! collation of a text, follows from its type.

use std::collections::BTreeSet;

use nubo_core::declare::IndexKind;
use serde_json::Value as Json;

/// Where a table is. SQLite has no schemas; theirs is empty there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub schema: String,
    pub table: String,
}

/// Everything that is declared, or everything that is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    /// PostgreSQL's schemas.
    pub schemas: BTreeSet<String>,
    pub tables: Vec<Table>,
    /// Whether the tables are there that belong to no collection.
    pub own: bool,
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub place: Place,
    /// The name of its collection; of its own where no collection is known.
    pub label: String,
    /// Where it was before, and what its collection was called.
    pub former: Option<(Place, String)>,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub keys: Vec<ForeignKey>,
    /// The name of the primary key, where keys have names.
    pub primary_key: String,
    /// SQLite: the texts of triggers, which go when a table is made anew.
    pub triggers: Vec<String>,
    /// PostgreSQL: whether the database notes what others write to it.
    pub watched: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub name: String,
    /// The name of its field.
    pub label: String,
    /// What it was called before: column and field.
    pub former: Option<(String, String)>,
    /// The database's own type.
    pub kind: String,
    pub not_null: bool,
    /// The type of the field ([`super::noted`]), where it is known.
    pub noted: Option<Json>,
    /// What rows that exist get where the column is new, as SQL.
    pub fill: Option<String>,
}

/// An index.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub name: String,
    pub columns: Vec<IndexedColumn>,
    pub unique: bool,
    pub kind: IndexKind,
    /// Which rows are in it, as SQL.
    pub condition: Option<String>,
    /// The text that the database keeps of it, where it does.
    pub text: Option<String>,
}

/// A column of an index. The name of an expression is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedColumn {
    pub name: String,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A guard of references to `id` of another table. SQLite gives it no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    pub name: String,
    pub column: String,
    pub target: Place,
}

impl Schema {
    /// The table at a place.
    pub fn table(&self, place: &Place) -> Option<&Table> {
        self.tables.iter().find(|table| table.place == *place)
    }

    /// The same, to be changed.
    pub fn table_mut(&mut self, place: &Place) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.place == *place)
    }

    /// Whether nothing is there of what is declared.
    pub fn lacks_all_of(&self, declared: &Self) -> bool {
        let tables = &mut declared.tables.iter();
        !self.own && !tables.any(|table| self.table(&table.place).is_some())
    }
}

impl Table {
    /// The column with a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The same, to be changed.
    pub fn column_mut(&mut self, name: &str) -> Option<&mut Column> {
        self.columns.iter_mut().find(|column| column.name == name)
    }

    /// Whether it is a collection's, or was: others may have tables beside Nubo's.
    pub fn is_of_a_collection(&self) -> bool {
        let revision = self.column("_rev");
        revision.is_some_and(|column| column.noted.is_some())
    }

    /// Whether an index is called as Nubo calls those of this table: others belong to somebody
    /// else.
    pub fn names(&self, index: &str) -> bool {
        let Some(rest) = index.strip_prefix(&format!("{}_", self.place.table)) else {
            return false;
        };
        let is_fingerprint =
            |end: &str| end.len() == 8 && end.bytes().all(|b| b.is_ascii_hexdigit());
        let last = rest.rsplit('_').next().unwrap_or_default();
        ["key", "idx", "gin", "ref"].contains(&last) || is_fingerprint(last)
    }
}

impl Index {
    /// Whether another one does the same, whatever it is called. Conditions are told apart by the
    /// fingerprint at the end of their names.
    pub fn is_like(&self, other: &Self) -> bool {
        let fingerprint = |index: &Self| {
            let condition = index.condition.as_ref();
            condition.map(|_| index.name.rsplit('_').next().map(str::to_owned))
        };
        self.columns == other.columns
            && self.unique == other.unique
            && self.kind == other.kind
            && fingerprint(self) == fingerprint(other)
    }
}

impl Column {
    /// A column that was found, and what is noted of its field. A password's column is called after
    /// its hash.
    pub fn found(
        name: String,
        kind: String,
        not_null: bool,
        noted: impl Fn(&str) -> Option<Json>,
    ) -> Self {
        let (label, noted) = match noted(&name) {
            Some(found) => (name.clone(), Some(found)),
            None => match name.strip_suffix("_hash") {
                Some(field) => match noted(field) {
                    Some(found) if found == "password" => (field.to_owned(), Some(found)),
                    _ => (name.clone(), None),
                },
                None => (name.clone(), None),
            },
        };
        Self {
            name,
            label,
            former: None,
            kind,
            not_null,
            noted,
            fill: None,
        }
    }
}
