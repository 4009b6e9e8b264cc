//! Steps from one schema to another: what each makes of a schema, and what takes it back.

use serde_json::Value as Json;

use super::{
    condition::{Name, renamed},
    model::{Column, ForeignKey, Index, Place, Schema, Table},
    noted::redirected,
};

/// One change of a schema.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The tables that belong to no collection.
    OwnTables,
    CreateSchema(String),
    /// A table with its columns; its indexes and foreign keys follow as steps of their own.
    CreateTable(Table),
    DropTable(Table),
    RenameTable {
        from: Place,
        to: Place,
        /// The names of the collection.
        labels: (String, String),
    },
    /// The name of a primary or foreign key.
    RenameConstraint {
        place: Place,
        from: String,
        to: String,
    },
    AddColumn {
        place: Place,
        column: Column,
    },
    DropColumn {
        place: Place,
        column: Column,
    },
    RenameColumn {
        place: Place,
        from: String,
        to: String,
        /// The names of the field.
        labels: (String, String),
    },
    /// The type becomes one in which all values can be expressed.
    ConvertColumn {
        place: Place,
        from: Column,
        to: Column,
    },
    /// The type becomes another, and the values are lost.
    ReplaceColumn {
        place: Place,
        from: Column,
        to: Column,
    },
    /// A value is demanded from now on.
    Require {
        place: Place,
        column: Column,
    },
    /// No value is demanded any longer.
    Relax {
        place: Place,
        column: Column,
    },
    CreateIndex {
        place: Place,
        index: Index,
    },
    DropIndex {
        place: Place,
        index: Index,
    },
    RenameIndex {
        place: Place,
        from: Index,
        to: Index,
    },
    AddKey {
        place: Place,
        key: ForeignKey,
    },
    DropKey {
        place: Place,
        key: ForeignKey,
    },
    /// From now on the database notes what others write to a table.
    Watch(Place),
    Unwatch(Place),
    /// Which types of fields the columns hold: the notes of before, and those from now on.
    Note {
        place: Place,
        from: Vec<(String, Option<Json>)>,
        to: Vec<(String, Option<Json>)>,
    },
}

impl Step {
    /// The table that is changed; none where it is not one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::OwnTables | Self::CreateSchema(_) => None,
            Self::CreateTable(table) | Self::DropTable(table) => Some(&table.place),
            Self::RenameTable { to, .. } => Some(to),
            Self::Watch(place) | Self::Unwatch(place) => Some(place),
            Self::RenameConstraint { place, .. }
            | Self::AddColumn { place, .. }
            | Self::DropColumn { place, .. }
            | Self::RenameColumn { place, .. }
            | Self::ConvertColumn { place, .. }
            | Self::ReplaceColumn { place, .. }
            | Self::Require { place, .. }
            | Self::Relax { place, .. }
            | Self::CreateIndex { place, .. }
            | Self::DropIndex { place, .. }
            | Self::RenameIndex { place, .. }
            | Self::AddKey { place, .. }
            | Self::DropKey { place, .. }
            | Self::Note { place, .. } => Some(place),
        }
    }

    /// What takes the step back; none where it is left as it is.
    pub fn inverse(&self) -> Option<Self> {
        let swapped = |(a, b): &(String, String)| (b.clone(), a.clone());
        Some(match self.clone() {
            // Others may use a schema by then, and revisions of what was deleted are still needed.
            Self::OwnTables | Self::CreateSchema(_) => return None,
            Self::CreateTable(table) => Self::DropTable(table),
            Self::DropTable(table) => Self::CreateTable(table),
            Self::RenameTable { from, to, labels } => Self::RenameTable {
                from: to,
                to: from,
                labels: swapped(&labels),
            },
            Self::RenameConstraint { place, from, to } => Self::RenameConstraint {
                place,
                from: to,
                to: from,
            },
            Self::AddColumn { place, column } => Self::DropColumn { place, column },
            Self::DropColumn { place, column } => Self::AddColumn { place, column },
            Self::RenameColumn {
                place,
                from,
                to,
                labels,
            } => Self::RenameColumn {
                place,
                from: to,
                to: from,
                labels: swapped(&labels),
            },
            // There may be values by then that the former type cannot express: it is refused then.
            Self::ConvertColumn { place, from, to } => Self::ConvertColumn {
                place,
                from: to,
                to: from,
            },
            Self::ReplaceColumn { place, from, to } => Self::ReplaceColumn {
                place,
                from: to,
                to: from,
            },
            Self::Require { place, column } => Self::Relax { place, column },
            Self::Relax { place, column } => Self::Require { place, column },
            Self::CreateIndex { place, index } => Self::DropIndex { place, index },
            Self::DropIndex { place, index } => Self::CreateIndex { place, index },
            Self::RenameIndex { place, from, to } => Self::RenameIndex {
                place,
                from: to,
                to: from,
            },
            Self::AddKey { place, key } => Self::DropKey { place, key },
            Self::Watch(place) => Self::Unwatch(place),
            Self::Unwatch(place) => Self::Watch(place),
            Self::DropKey { place, key } => Self::AddKey { place, key },
            Self::Note { place, from, to } => Self::Note {
                place,
                from: to,
                to: from,
            },
        })
    }
}

impl Schema {
    /// What the schema is after a step.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::OwnTables => self.own = true,
            Step::CreateSchema(name) => {
                self.schemas.insert(name.clone());
            }
            Step::CreateTable(table) => self.tables.push(Table {
                columns: table.columns.iter().map(without_note).collect(),
                indexes: Vec::new(),
                keys: Vec::new(),
                watched: false,
                ..table.clone()
            }),
            Step::DropTable(table) => self.tables.retain(|other| other.place != table.place),
            Step::RenameTable { from, to, labels } => self.rename_table(from, to, &labels.1),
            step => {
                let place = step.place().cloned();
                if let Some(table) = place.and_then(|place| self.table_mut(&place)) {
                    table.apply(step);
                }
            }
        }
    }

    fn rename_table(&mut self, from: &Place, to: &Place, label: &str) {
        for table in &mut self.tables {
            if table.place == *from {
                for condition in table
                    .indexes
                    .iter_mut()
                    .filter_map(|i| i.condition.as_mut())
                {
                    *condition = renamed(condition, Name::Table, &from.table, &to.table);
                }
                table.place = to.clone();
                table.label = label.to_owned();
            }
            for key in table.keys.iter_mut().filter(|key| key.target == *from) {
                key.target = to.clone();
            }
            for noted in table.columns.iter_mut().filter_map(|c| c.noted.as_mut()) {
                *noted = redirected(noted, &from.table, &to.table);
            }
        }
    }
}

impl Table {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::RenameConstraint { from, to, .. } => {
                if self.primary_key == *from {
                    self.primary_key.clone_from(to);
                }
                for key in self.keys.iter_mut().filter(|key| key.name == *from) {
                    key.name.clone_from(to);
                }
            }
            Step::AddColumn { column, .. } => self.columns.push(without_note(column)),
            Step::DropColumn { column, .. } => self.drop_column(&column.name),
            Step::RenameColumn {
                from, to, labels, ..
            } => self.rename_column(from, to, &labels.1),
            Step::ConvertColumn { from, to, .. } => {
                if let Some(column) = self.column_mut(&from.name) {
                    column.kind.clone_from(&to.kind);
                }
            }
            Step::ReplaceColumn { from, to, .. } => {
                self.drop_column(&from.name);
                // What is noted stays until something else is.
                let noted = from.noted.clone();
                self.columns.push(Column {
                    noted,
                    ..to.clone()
                });
            }
            Step::Require { column, .. } | Step::Relax { column, .. } => {
                if let Some(found) = self.column_mut(&column.name) {
                    found.not_null = matches!(step, Step::Require { .. });
                }
            }
            Step::CreateIndex { index, .. } => self.indexes.push(index.clone()),
            Step::DropIndex { index, .. } => self.indexes.retain(|other| other.name != index.name),
            Step::RenameIndex { from, to, .. } => {
                self.indexes.retain(|other| other.name != from.name);
                self.indexes.push(to.clone());
            }
            Step::AddKey { key, .. } => self.keys.push(key.clone()),
            Step::DropKey { key, .. } => self.keys.retain(|other| other != key),
            Step::Watch(_) => self.watched = true,
            Step::Unwatch(_) => self.watched = false,
            Step::Note { to, .. } => {
                for (label, noted) in to {
                    let mut columns = self.columns.iter_mut();
                    if let Some(column) = columns.find(|column| column.label == *label) {
                        column.noted.clone_from(noted);
                    }
                }
            }
            _ => {}
        }
    }

    /// The database takes along what cannot be without the column.
    fn drop_column(&mut self, name: &str) {
        self.columns.retain(|column| column.name != name);
        self.keys.retain(|key| key.column != name);
        self.indexes
            .retain(|index| index.columns.iter().all(|column| column.name != name));
    }

    fn rename_column(&mut self, from: &str, to: &str, label: &str) {
        if let Some(column) = self.column_mut(from) {
            column.name = to.to_owned();
            column.label = label.to_owned();
        }
        for key in self.keys.iter_mut().filter(|key| key.column == from) {
            key.column = to.to_owned();
        }
        for index in &mut self.indexes {
            if let Some(condition) = &mut index.condition {
                *condition = renamed(condition, Name::Column, from, to);
            }
            for column in index.columns.iter_mut().filter(|c| c.name == from) {
                column.name = to.to_owned();
            }
        }
    }
}

/// A new column. What type it has is noted by a step of its own.
fn without_note(column: &Column) -> Column {
    Column {
        noted: None,
        ..column.clone()
    }
}
