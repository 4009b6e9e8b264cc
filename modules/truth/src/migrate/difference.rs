//! What leads from the schema that is there to the one that is declared, each step with its reason,
//! and what it would lose.
//!
//! Nothing here asks the database. Whether documents lack a value that becomes required, only the
//! database can say: such a step carries the risk until [`super::run`] has looked.

use nubo_core::declare::IndexKind;
use serde_json::Value as Json;

use super::{
    model::{Column, ForeignKey, Index, Place, Schema, Table},
    noted::is_readable,
    step::Step,
};

/// What becomes of columns that no field declares any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// They are dropped, with what they hold.
    Drop,
    /// They are kept, and no longer insist on a value.
    Keep,
}

/// A step, in words as well.
#[derive(Debug, Clone)]
pub struct Change {
    pub(crate) step: Step,
    /// What is done and why.
    pub why: String,
    /// What would be lost.
    pub risk: Option<Risk>,
    /// Whether it goes without saying: it comes with a table that is new.
    pub is_detail: bool,
}

/// Why a step is not taken unless somebody says so.
#[derive(Debug, Clone)]
pub struct Risk {
    /// What is the matter.
    pub problem: String,
    /// How the same is reached without loss, step by step.
    pub instead: Vec<String>,
    /// Whether a server can work while the step has not been taken.
    pub tolerable: bool,
}

/// Whether a database can express the values of one column as the type of another.
pub(crate) enum Conversion {
    /// They are stored alike.
    None,
    /// It can, by this expression.
    By(String),
    /// It cannot.
    Impossible,
}

/// How a database converts the values of a column.
pub(crate) type Convert = fn(from: &Column, to: &Column) -> Conversion;

/// Everything that leads from `actual` to `declared`.
pub(crate) fn difference(
    declared: &Schema,
    actual: &Schema,
    leftovers: Leftovers,
    convert: Convert,
) -> Vec<Change> {
    let mut difference = Difference {
        actual: actual.clone(),
        changes: Vec::new(),
        new: Vec::new(),
        leftovers,
        convert,
    };
    difference.find(declared);
    difference.changes
}

struct Difference {
    /// What is there once the steps so far have been taken.
    actual: Schema,
    changes: Vec<Change>,
    /// Tables that are created.
    new: Vec<Place>,
    leftovers: Leftovers,
    convert: Convert,
}

impl Difference {
    fn add(&mut self, step: Step, why: impl Into<String>) {
        self.add_risky(step, why, None);
    }

    fn add_risky(&mut self, step: Step, why: impl Into<String>, risk: Option<Risk>) {
        self.actual.apply(&step);
        let is_new = step.place().is_some_and(|place| self.new.contains(place));
        if let Step::CreateTable(table) = &step {
            self.new.push(table.place.clone());
        }
        self.changes.push(Change {
            is_detail: is_new || matches!(step, Step::Note { .. }),
            step,
            why: why.into(),
            risk,
        });
    }

    fn find(&mut self, declared: &Schema) {
        for schema in &declared.schemas {
            if !self.actual.schemas.contains(schema) {
                let step = Step::CreateSchema(schema.clone());
                self.add(step, format!("A schema for the domain `{schema}`."));
            }
        }
        if declared.own && !self.actual.own {
            self.add(Step::OwnTables, "What the server notes for itself.");
        }
        for table in &declared.tables {
            self.rename(table, declared);
        }
        for table in &declared.tables {
            if self.actual.table(&table.place).is_none() {
                let why = format!("The collection `{}` is new.", table.label);
                self.add(Step::CreateTable(table.clone()), why);
            }
        }
        for table in &declared.tables {
            if !self.new.contains(&table.place) {
                self.columns(table);
            }
        }
        for table in &declared.tables {
            self.indexes(table);
        }
        // References may lead in circles: their guards come when all tables are there.
        for table in &declared.tables {
            self.keys(table);
        }
        for table in &declared.tables {
            self.watch(table);
        }
        for table in &declared.tables {
            self.notes(table);
        }
        if self.leftovers == Leftovers::Drop {
            self.drop_tables(declared);
        }
    }

    /// Tables of collections that nobody declares any longer. What only looks like one is left
    /// alone.
    fn drop_tables(&mut self, declared: &Schema) {
        let is_declared = |table: &Table| {
            let mut tables = declared.tables.iter();
            tables.any(|other| other.place.table == table.place.table)
        };
        let tables = self.actual.tables.clone().into_iter();
        let gone: Vec<Table> = tables
            .filter(|table| table.is_of_a_collection() && !is_declared(table))
            .collect();
        // They may refer to each other. What goes with a table comes back with it.
        for table in &gone {
            self.strip(table);
        }
        for table in gone {
            let label = &table.label;
            let risk = Risk {
                problem: format!(
                    "no collection declares the table `{label}` any longer, and its documents \
                     would be lost"
                ),
                instead: vec![
                    "where the collection has another name now, say `renamed_from` there".into(),
                    "`nubo migrate plan --keep` leaves the table where it is".into(),
                    "when nobody needs the documents any longer, export them with `nubo export` \
                     and plan with --allow-destructive"
                        .into(),
                ],
                tolerable: true,
            };
            let why = format!(
                "No collection declares the table `{label}` any longer: its documents are lost."
            );
            let bare = self.actual.table(&table.place).cloned();
            self.add_risky(Step::DropTable(bare.unwrap_or(table)), why, Some(risk));
        }
    }

    fn strip(&mut self, table: &Table) {
        let place = &table.place;
        let noted = table.columns.iter().filter(|c| c.noted.is_some());
        let from: Vec<(String, Option<Json>)> = noted
            .map(|column| (column.label.clone(), column.noted.clone()))
            .collect();
        let to = from.iter().map(|(label, _)| (label.clone(), None));
        let why = format!("Which types the fields of `{}` had.", table.label);
        let (to, place_) = (to.collect(), place.clone());
        self.add(
            Step::Note {
                place: place_,
                from,
                to,
            },
            why,
        );
        for index in table.indexes.iter().cloned() {
            let why = format!("The index `{}` goes with its table.", index.name);
            let place = place.clone();
            self.add(Step::DropIndex { place, index }, why);
        }
        for key in table.keys.iter().cloned() {
            let why = format!("The guard of `{}.{}` goes first.", table.label, key.column);
            let place = place.clone();
            self.add(Step::DropKey { place, key }, why);
        }
        if table.watched {
            let why = format!("What others write to `{}` need not be noted.", table.label);
            self.add(Step::Unwatch(place.clone()), why);
        }
    }

    /// What is there of a declared table.
    fn existing(&self, table: &Table) -> Table {
        let found = self.actual.table(&table.place);
        found.unwrap_or(table).clone()
    }

    fn rename(&mut self, table: &Table, declared: &Schema) {
        if self.actual.table(&table.place).is_some() {
            return;
        }
        let free =
            |place: &Place| self.actual.table(place).is_some() && declared.table(place).is_none();
        // In whatever schema it is: where the domain has changed, the schema has as well.
        let anywhere = |name: &str| {
            let mut tables = self.actual.tables.iter();
            let found = tables.find(|other| {
                other.place.table == name && other.is_of_a_collection() && free(&other.place)
            })?;
            Some(found.place.clone())
        };
        let former = table.former.as_ref().and_then(|(place, label)| {
            let place = Some(place.clone()).filter(&free);
            Some((place.or_else(|| anywhere(label))?, label.clone()))
        });
        let moved = || Some((anywhere(&table.place.table)?, table.label.clone()));
        let Some((from, former)) = former.or_else(moved) else {
            return;
        };
        let domain = &table.place.schema;
        let why = match (former == table.label, from.schema == *domain) {
            (true, _) => format!("The collection `{former}` belongs to the domain `{domain}` now."),
            (false, true) => {
                format!("The collection `{former}` is called `{}` now.", table.label)
            }
            (false, false) => format!(
                "The collection `{former}` is called `{}` now, and belongs to the domain \
                 `{domain}`.",
                table.label
            ),
        };
        let step = Step::RenameTable {
            from,
            to: table.place.clone(),
            labels: (former, table.label.clone()),
        };
        self.add(step, why);
    }

    fn columns(&mut self, table: &Table) {
        let place = table.place.clone();
        for column in &table.columns {
            let existing = self.existing(table);
            if let Some((former, label)) = &column.former
                && existing.column(&column.name).is_none()
                && existing.column(former).is_some()
                && table.column(former).is_none()
            {
                let step = Step::RenameColumn {
                    place: place.clone(),
                    from: former.clone(),
                    to: column.name.clone(),
                    labels: (label.clone(), column.label.clone()),
                };
                let why = format!(
                    "The field `{label}` of `{}` is called `{}` now.",
                    table.label, column.label
                );
                self.add(step, why);
            }
        }
        for column in &table.columns {
            match self.existing(table).column(&column.name).cloned() {
                None => self.add_column(table, column),
                Some(existing) => self.change_column(table, &existing, column),
            }
        }
        for column in self.existing(table).columns {
            if table.column(&column.name).is_none() {
                self.leave(table, column);
            }
        }
    }

    fn add_column(&mut self, table: &Table, column: &Column) {
        let field = format!("`{}` of `{}`", column.label, table.label);
        let risk = (column.not_null && column.fill.is_none()).then(|| Risk {
            problem: format!(
                "the new field {field} is required and has no default, so the documents that \
                 exist would have no value"
            ),
            instead: vec![
                "declare the field optional, or give it a default, and apply that".into(),
                fill_in(table, column),
                "declare it required".into(),
            ],
            tolerable: false,
        });
        let why = match &column.fill {
            Some(fill) => format!("The field {field} is new; documents that exist get {fill}."),
            None => format!("The field {field} is new."),
        };
        let step = Step::AddColumn {
            place: table.place.clone(),
            column: column.clone(),
        };
        self.add_risky(step, why, risk);
    }

    fn change_column(&mut self, table: &Table, existing: &Column, column: &Column) {
        let place = table.place.clone();
        let field = format!("`{}.{}`", table.label, column.label);
        let conversion = match (&existing.noted, &column.noted) {
            (Some(from), Some(to)) if !is_readable(from, to) => Conversion::Impossible,
            _ => (self.convert)(existing, column),
        };
        if let Conversion::Impossible = conversion {
            return self.replace_column(table, existing, column);
        }
        if let Conversion::By(_) = conversion {
            let why = format!(
                "{field} is stored as {} and becomes {}; every value can be expressed so.",
                existing.kind, column.kind
            );
            let step = Step::ConvertColumn {
                place: place.clone(),
                from: existing.clone(),
                to: column.clone(),
            };
            self.add(step, why);
        }
        let column = column.clone();
        if column.not_null && !existing.not_null {
            let risk = Risk {
                problem: format!(
                    "{field} is required now, but there are documents without a value"
                ),
                instead: vec![
                    "leave the field optional".into(),
                    fill_in(table, &column),
                    "declare it required".into(),
                ],
                tolerable: false,
            };
            let why = format!("{field} is required now.");
            self.add_risky(Step::Require { place, column }, why, Some(risk));
        } else if existing.not_null && !column.not_null {
            let why = format!("{field} is optional now.");
            self.add(Step::Relax { place, column }, why);
        }
    }

    fn replace_column(&mut self, table: &Table, existing: &Column, column: &Column) {
        let field = format!("`{}.{}`", table.label, column.label);
        let was = type_name(existing, column);
        let becomes = type_name(column, existing);
        let risk = Risk {
            problem: format!("{field} is stored as {was} and would now be {becomes}"),
            instead: vec![
                format!(
                    "declare a new field of the type {becomes} beside `{}`, and apply that",
                    column.label
                ),
                "copy the values, as your application means them".into(),
                format!(
                    "remove `{}`, and apply that with --allow-destructive",
                    column.label
                ),
            ],
            tolerable: false,
        };
        let why = format!("{field} is stored as {was} and becomes {becomes}: its values are lost.");
        self.free(table, existing);
        let step = Step::ReplaceColumn {
            place: table.place.clone(),
            from: existing.clone(),
            to: column.clone(),
        };
        self.add_risky(step, why, Some(risk));
    }

    /// A column that no field declares.
    fn leave(&mut self, table: &Table, column: Column) {
        let field = format!("`{}.{}`", table.label, column.label);
        let place = table.place.clone();
        match self.leftovers {
            Leftovers::Drop => {
                let risk = Risk {
                    problem: format!(
                        "no field declares {field} any longer, and its values would be lost"
                    ),
                    instead: vec![
                        "`nubo migrate plan --keep` leaves the column where it is, without \
                         insisting on a value"
                            .into(),
                        "when nobody needs the values any longer, plan with --allow-destructive"
                            .into(),
                    ],
                    tolerable: !column.not_null,
                };
                let why = format!("No field declares {field} any longer: its values are lost.");
                self.free(table, &column);
                if column.noted.is_some() {
                    let label = column.label.clone();
                    let step = Step::Note {
                        place: place.clone(),
                        from: vec![(label.clone(), column.noted.clone())],
                        to: vec![(label, None)],
                    };
                    self.add(step, format!("Which type {field} had."));
                }
                self.add_risky(Step::DropColumn { place, column }, why, Some(risk));
            }
            Leftovers::Keep if column.not_null => {
                let why = format!(
                    "No field declares {field} any longer: it is kept, and insists on no value."
                );
                self.add(Step::Relax { place, column }, why);
            }
            Leftovers::Keep => {}
        }
    }

    /// Takes away what cannot be without a column that goes, so that it comes back with it.
    fn free(&mut self, table: &Table, column: &Column) {
        let existing = self.existing(table);
        for index in existing.indexes {
            if index.columns.iter().any(|other| other.name == column.name) {
                let why = format!("The index `{}` is of a column that goes.", index.name);
                let place = table.place.clone();
                self.add(Step::DropIndex { place, index }, why);
            }
        }
        for key in existing.keys {
            if key.column == column.name {
                let why = format!(
                    "`{}.{}` goes, and its guard first.",
                    table.label, key.column
                );
                let place = table.place.clone();
                self.add(Step::DropKey { place, key }, why);
            }
        }
    }

    fn indexes(&mut self, table: &Table) {
        let place = table.place.clone();
        for index in &table.indexes {
            let existing = self.existing_indexes(table);
            if let Some(same) = existing.iter().find(|other| other.name == index.name) {
                if same.is_like(index) {
                    continue;
                }
                let why = format!("The index `{}` looks different now.", index.name);
                let step = Step::DropIndex {
                    place: place.clone(),
                    index: same.clone(),
                };
                self.add(step, why);
            } else if let Some(like) = existing.iter().find(|other| {
                let is_free = !table.indexes.iter().any(|index| index.name == other.name);
                is_free && other.is_like(index)
            }) {
                let step = Step::RenameIndex {
                    place: place.clone(),
                    from: like.clone(),
                    to: index.clone(),
                };
                self.add(step, "Indexes are called as what they are of.");
                continue;
            }
            let columns = index.columns.iter().map(|column| {
                let descending = if column.descending {
                    " (descending)"
                } else {
                    ""
                };
                format!("{}{descending}", column.name)
            });
            let columns = columns.collect::<Vec<_>>().join(", ");
            let why = match (index.unique, index.kind) {
                (true, _) => format!("No two of `{}` have the same {columns}.", table.label),
                (false, IndexKind::Gin) => {
                    format!("Finds `{}` by what {columns} contains.", table.label)
                }
                (false, IndexKind::Btree) => {
                    format!("Finds and sorts `{}` by {columns}.", table.label)
                }
            };
            let risk = index.unique.then(|| duplicates(table, index));
            let step = Step::CreateIndex {
                place: place.clone(),
                index: index.clone(),
            };
            self.add_risky(step, why, risk);
        }
        for index in self.existing_indexes(table) {
            let is_declared = table.indexes.iter().any(|other| other.name == index.name);
            if !is_declared && table.names(&index.name) {
                let why = format!("Nothing declares the index `{}` any longer.", index.name);
                let place = place.clone();
                self.add(Step::DropIndex { place, index }, why);
            }
        }
    }

    fn existing_indexes(&self, table: &Table) -> Vec<Index> {
        let found = self.actual.table(&table.place);
        found.map_or_else(Vec::new, |found| found.indexes.clone())
    }

    fn keys(&mut self, table: &Table) {
        let place = table.place.clone();
        let existing = self.existing(table);
        if existing.primary_key != table.primary_key {
            let step = Step::RenameConstraint {
                place: place.clone(),
                from: existing.primary_key.clone(),
                to: table.primary_key.clone(),
            };
            self.add(step, "Keys are called as what they are of.");
        }
        for key in &existing.keys {
            let same = table
                .keys
                .iter()
                .find(|other| other.column == key.column && other.target == key.target);
            match same {
                Some(declared) if declared.name != key.name => {
                    let step = Step::RenameConstraint {
                        place: place.clone(),
                        from: key.name.clone(),
                        to: declared.name.clone(),
                    };
                    self.add(step, "Keys are called as what they are of.");
                }
                Some(_) => {}
                // What somebody else's column refers to is not for us to say.
                None if table.column(&key.column).is_none()
                    && !self.is_kept(table, &key.column) => {}
                None => {
                    let why = format!(
                        "`{}.{}` does not refer to `{}` any longer.",
                        table.label, key.column, key.target.table
                    );
                    let step = Step::DropKey {
                        place: place.clone(),
                        key: key.clone(),
                    };
                    self.add(step, why);
                }
            }
        }
        let existing = self.existing(table);
        for key in &table.keys {
            if !existing.keys.contains(key) {
                let why = format!(
                    "`{}.{}` refers to documents of `{}` that exist.",
                    table.label, key.column, key.target.table
                );
                let step = Step::AddKey {
                    place: place.clone(),
                    key: key.clone(),
                };
                self.add_risky(step, why, Some(astray(table, key)));
            }
        }
    }

    /// Whether a column was Nubo's: a guard on it would keep documents from being deleted.
    fn is_kept(&self, table: &Table, column: &str) -> bool {
        let existing = self.actual.table(&table.place);
        existing
            .and_then(|existing| existing.column(column))
            .is_some_and(|column| column.noted.is_some())
    }

    fn watch(&mut self, table: &Table) {
        if table.watched && !self.existing(table).watched {
            let why = format!("What others write to `{}` is noted.", table.label);
            self.add(Step::Watch(table.place.clone()), why);
        }
    }

    fn notes(&mut self, table: &Table) {
        let existing = self.existing(table);
        let mut from: Vec<(String, Option<Json>)> = Vec::new();
        let mut to = Vec::new();
        for column in &table.columns {
            let noted = existing
                .column(&column.name)
                .and_then(|column| column.noted.clone());
            if noted != column.noted {
                from.push((column.label.clone(), noted));
                to.push((column.label.clone(), column.noted.clone()));
            }
        }
        if !to.is_empty() {
            let place = table.place.clone();
            let why = format!("Which types the fields of `{}` have.", table.label);
            self.add(Step::Note { place, from, to }, why);
        }
    }
}

/// How a field's type is called: as it is noted where that tells the two apart.
fn type_name(column: &Column, other: &Column) -> String {
    match (&column.noted, &other.noted) {
        (Some(Json::String(word)), Some(_)) => word.clone(),
        (Some(noted), Some(_)) => noted.to_string(),
        _ => column.kind.clone(),
    }
}

/// What keeps a unique index from being made.
fn duplicates(table: &Table, index: &Index) -> Risk {
    let columns = index.columns.iter().map(|column| {
        let found = table.column(&column.name);
        let label = found.map_or(&column.name, |column| &column.label);
        format!("`{label}`")
    });
    let fields = columns.collect::<Vec<_>>().join(", ");
    Risk {
        problem: format!(
            "no two documents of `{}` may have the same {fields} (`{}`), and there are some that \
             do",
            table.label, index.name
        ),
        instead: vec![
            "leave it undeclared that they are unique".into(),
            format!(
                "change or delete the documents of `{}` that are the same",
                table.label
            ),
            "declare it, and plan again".into(),
        ],
        tolerable: false,
    }
}

/// What keeps a reference from being guarded.
fn astray(table: &Table, key: &ForeignKey) -> Risk {
    let found = table.column(&key.column);
    let label = found.map_or(&key.column, |column| &column.label);
    Risk {
        problem: format!(
            "`{}.{label}` refers to documents of `{}` from now on, and there are some that do not \
             exist",
            table.label, key.target.table
        ),
        instead: vec![
            "leave the field without a reference".into(),
            format!("clear `{label}` where it leads nowhere, or create what it leads to"),
            "declare the reference, and plan again".into(),
        ],
        tolerable: false,
    }
}

fn fill_in(table: &Table, column: &Column) -> String {
    format!(
        "give every document a value: PATCH /{}?filter={{\"{}\":null}} with {{\"{}\": …}}",
        table.label, column.label, column.label
    )
}
