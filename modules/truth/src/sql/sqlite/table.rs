//! What a schema looks like in SQLite: tables with their keys in them, and indexes.
//!
//! SQLite alters little of a table. Whatever it cannot, makes the table anew with all of its rows:
//! <https://sqlite.org/lang_altertable.html#otheralter>. Foreign keys must be off meanwhile, and
//! must be checked afterwards.

use nubo_core::{declare::IndexKind, field::FieldType};
use serde_json::Value as Json;

use super::{
    Sqlite,
    encode::{DECIMAL_COLLATION, column_type},
};
use crate::{
    migrate::{
        declared::Declares,
        difference::{Change, Conversion},
        model::{Column, Index, Place, Schema, Table},
        script::Block,
        step::Step,
    },
    sql::{Dialect, Quoted, notes},
};

const TOMBSTONES: &str = Sqlite::TOMBSTONES;
const QUEUE: &str = Sqlite::QUEUE;
const DEAD_LETTERS: &str = Sqlite::DEAD_LETTERS;

/// What type each column was declared with: SQLite's own types are fewer.
pub(crate) const FIELDS: &str = "nubo_fields";
/// Which migrations have been applied.
pub(crate) const MIGRATIONS: &str = "nubo_migrations";

impl Declares for Sqlite {
    const OWN_SCHEMA: Option<&'static str> = None;
    /// The file tells when somebody else has written to it.
    const WATCHES: bool = false;

    fn column_type(kind: &FieldType) -> String {
        column_type(kind).to_owned()
    }

    fn has_index(kind: IndexKind) -> bool {
        kind == IndexKind::Btree
    }

    fn limited(name: String) -> String {
        name
    }
}

/// The tables that belong to no collection.
fn own_tables() -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {TOMBSTONES} (collection TEXT NOT NULL, id TEXT NOT NULL, \
             revision INTEGER NOT NULL, deleted_at INTEGER NOT NULL, \
             PRIMARY KEY (collection, id)) STRICT, WITHOUT ROWID"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {FIELDS} (\"table\" TEXT NOT NULL, field TEXT NOT NULL, \
             kind TEXT NOT NULL, PRIMARY KEY (\"table\", field)) STRICT, WITHOUT ROWID"
        ),
        format!("CREATE INDEX IF NOT EXISTS {TOMBSTONES}_deleted_at ON {TOMBSTONES} (deleted_at)"),
        // A number is not given twice, also when the queue was empty in between.
        format!(
            "CREATE TABLE IF NOT EXISTS {QUEUE} (number INTEGER PRIMARY KEY AUTOINCREMENT, \
             queued_at INTEGER NOT NULL, packed BLOB NOT NULL) STRICT"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {DEAD_LETTERS} (number INTEGER PRIMARY KEY, \
             queued_at INTEGER NOT NULL, refused_at INTEGER NOT NULL, problem TEXT NOT NULL, \
             packed BLOB NOT NULL) STRICT"
        ),
    ]
}

/// What makes the table of applied migrations.
pub(crate) fn create_migrations() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {MIGRATIONS} (number INTEGER PRIMARY KEY, name TEXT NOT NULL, \
         checksum TEXT NOT NULL, applied_at TEXT NOT NULL \
         DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))) STRICT"
    )
}

/// The steps in SQL. Those that concern the columns and keys of one table are one block.
pub(crate) fn blocks(before: &Schema, changes: &[Change]) -> Vec<Block> {
    let mut now = before.clone();
    let mut blocks = Vec::new();
    let mut shaped: Vec<&Place> = Vec::new();
    let dropped: Vec<&Place> = changes
        .iter()
        .filter(|change| matches!(change.step, Step::DropTable(_)))
        .filter_map(|change| change.step.place())
        .collect();
    for (at, change) in changes.iter().enumerate() {
        let step = &change.step;
        let place = step.place();
        if matches!(step, Step::DropTable(_)) || place.is_none_or(|p| !dropped.contains(&p)) {
            if let Some(place) = place.filter(|_| shapes(step)) {
                if !shaped.contains(&place) {
                    shaped.push(place);
                    blocks.push(shape(place, &now, &changes[at..]));
                }
            } else if !is_folded(step, changes) {
                let mut block = Block {
                    comments: vec![change.why.clone()],
                    ..Block::default()
                };
                push(step, &mut block);
                blocks.push(block);
            }
        }
        now.apply(step);
    }
    blocks.retain(|block| !block.statements.is_empty());
    blocks
}

/// Whether a step changes what stands in the declaration of a table.
fn shapes(step: &Step) -> bool {
    matches!(
        step,
        Step::CreateTable(_)
            | Step::AddColumn { .. }
            | Step::DropColumn { .. }
            | Step::ConvertColumn { .. }
            | Step::ReplaceColumn { .. }
            | Step::Require { .. }
            | Step::Relax { .. }
            | Step::AddKey { .. }
            | Step::DropKey { .. }
    )
}

/// What changes a table: a new one, new columns, or all of it made anew.
fn shape(place: &Place, now: &Schema, changes: &[Change]) -> Block {
    // Names change before everything else, or after it where changes are taken back.
    let mut then = now.clone();
    let is_name =
        |step: &Step| matches!(step, Step::RenameTable { .. } | Step::RenameColumn { .. });
    for change in changes.iter().filter(|change| !is_name(&change.step)) {
        then.apply(&change.step);
    }
    let changes: Vec<&Change> = changes
        .iter()
        .filter(|change| shapes(&change.step) && change.step.place() == Some(place))
        .collect();
    let mut block = Block {
        comments: changes.iter().map(|change| change.why.clone()).collect(),
        ..Block::default()
    };
    let Some(target) = then.table(place) else {
        return block;
    };
    let Some(table) = now.table(place) else {
        // The guards of references are part of it.
        block.comments.truncate(1);
        block.statements.push(create(target, &place.table));
        return block;
    };
    let is_new = |name: &str| table.column(name).is_none();
    let adds = changes.iter().all(|change| match &change.step {
        Step::AddColumn { column, .. } => !column.not_null || column.fill.is_some(),
        Step::AddKey { key, .. } => is_new(&key.column),
        _ => false,
    });
    if adds {
        let new = target.columns.iter().filter(|column| is_new(&column.name));
        block.statements.extend(new.map(|column| {
            let default = column.fill.as_ref();
            let default = default.map_or_else(String::new, |fill| format!(" DEFAULT {fill}"));
            format!(
                "ALTER TABLE {} ADD COLUMN {}{default}",
                Quoted(&place.table),
                declared(target, column)
            )
        }));
    } else {
        rebuild(table, target, &changes, &mut block);
    }
    block
}

fn rebuild(table: &Table, target: &Table, changes: &[&Change], block: &mut Block) {
    let name = &target.place.table;
    let new = format!("{name}_nubo_new");
    let mut columns = Vec::new();
    let mut values = Vec::new();
    for column in &target.columns {
        let place = Quoted(&column.name).to_string();
        let replaced = changes.iter().any(|change| {
            matches!(&change.step, Step::ReplaceColumn { from, .. } if from.name == column.name)
        });
        let kept = table.column(&column.name).filter(|_| !replaced);
        let lacks = column.not_null && kept.is_none_or(|kept| !kept.not_null);
        let value = match (kept, &column.fill) {
            (Some(_), Some(fill)) if lacks => format!("coalesce({place}, {fill})"),
            (Some(_), _) => place.clone(),
            (None, Some(fill)) => fill.clone(),
            (None, None) => "NULL".into(),
        };
        if lacks && column.fill.is_none() {
            block.comments.push(format!(
                "Documents that exist need a value for {place}, or this is refused: where some \
                 have none, write one into the SELECT below."
            ));
        }
        columns.push(place);
        values.push(value);
    }
    block.statements = vec![
        create(target, &new),
        format!(
            "INSERT INTO {} ({})\n  SELECT {} FROM {}",
            Quoted(&new),
            columns.join(", "),
            values.join(", "),
            Quoted(name)
        ),
        format!("DROP TABLE {}", Quoted(name)),
        format!("ALTER TABLE {} RENAME TO {}", Quoted(&new), Quoted(name)),
    ];
    let indexes = target.indexes.iter();
    block
        .statements
        .extend(indexes.map(|index| create_index(&target.place, index)));
    block.statements.extend(table.triggers.iter().cloned());
}

/// Whether making a table anew does the step along with the rest.
fn is_folded(step: &Step, changes: &[Change]) -> bool {
    let (Step::CreateIndex { place, .. }
    | Step::DropIndex { place, .. }
    | Step::RenameIndex { place, .. }) = step
    else {
        return false;
    };
    is_rebuilt(place, changes)
}

fn is_rebuilt(place: &Place, changes: &[Change]) -> bool {
    let mut new = Vec::new();
    for change in changes {
        let step = &change.step;
        if step.place() != Some(place) || !shapes(step) {
            continue;
        }
        match step {
            Step::CreateTable(_) => return false,
            Step::AddColumn { column, .. } if !column.not_null || column.fill.is_some() => {
                new.push(column.name.as_str());
            }
            Step::AddKey { key, .. } if new.contains(&key.column.as_str()) => {}
            _ => return true,
        }
    }
    false
}

fn push(step: &Step, block: &mut Block) {
    let mut say = |statement: String| block.statements.push(statement);
    match step {
        Step::OwnTables => block.statements.extend(own_tables()),
        Step::DropTable(table) => {
            say(format!("DROP TABLE {}", Quoted(&table.place.table)));
            say(notes::forget(FIELDS, &table.place));
        }
        Step::RenameTable { from, to, labels } => {
            say(format!(
                "ALTER TABLE {} RENAME TO {}",
                Quoted(&from.table),
                Quoted(&to.table)
            ));
            block
                .statements
                .extend(notes::rename_table(FIELDS, TOMBSTONES, (from, to), labels));
        }
        Step::RenameColumn {
            place,
            from,
            to,
            labels,
        } => {
            say(format!(
                "ALTER TABLE {} RENAME COLUMN {} TO {}",
                Quoted(&place.table),
                Quoted(from),
                Quoted(to)
            ));
            say(notes::rename_field(FIELDS, place, labels));
        }
        Step::CreateIndex { place, index } => {
            say(create_index(place, index));
            block.label.clone_from(&index.name);
        }
        Step::DropIndex { index, .. } => say(format!("DROP INDEX {}", Quoted(&index.name))),
        Step::RenameIndex { place, from, to } => {
            say(format!("DROP INDEX {}", Quoted(&from.name)));
            say(create_index(place, to));
        }
        Step::Note { place, to, .. } => block.statements.extend(notes::note(FIELDS, place, to)),
        // SQLite has no schemas and no names of keys; the rest is done by `shape`.
        _ => {}
    }
}

/// A table under a name.
fn create(table: &Table, name: &str) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| declared(table, column))
        .collect();
    format!(
        "CREATE TABLE {} (\n  {}\n) STRICT",
        Quoted(name),
        columns.join(",\n  ")
    )
}

/// A column with its constraints. What its field's type demands is known from what is noted.
fn declared(table: &Table, column: &Column) -> String {
    let name = Quoted(&column.name);
    let mut text = format!("{name} {}", column.kind);
    if matches!(&column.noted, Some(Json::String(word)) if word == "decimal") {
        text.push_str(&format!(" COLLATE {DECIMAL_COLLATION}"));
    }
    if column.name == "id" {
        text.push_str(" PRIMARY KEY");
    }
    if column.not_null {
        text.push_str(" NOT NULL");
    }
    for key in table.keys.iter().filter(|key| key.column == column.name) {
        // A guard only: the server performs on_delete itself.
        let target = Quoted(&key.target.table).to_string();
        text.push_str(&format!(" REFERENCES {target} (\"id\")"));
    }
    let is_json = match &column.noted {
        Some(Json::Array(_) | Json::Object(_)) => true,
        Some(Json::String(word)) => word == "json",
        _ => false,
    };
    if is_json {
        text.push_str(&format!(" CHECK (json_valid({name}))"));
    }
    text
}

fn create_index(place: &Place, index: &Index) -> String {
    if let Some(text) = &index.text
        && index.columns.iter().any(|column| column.name.is_empty())
    {
        return text.clone();
    }
    let columns = index.columns.iter().map(|column| {
        let direction = if column.descending { " DESC" } else { "" };
        format!("{}{direction}", Quoted(&column.name))
    });
    let columns: Vec<String> = columns.collect();
    let unique = if index.unique { "UNIQUE " } else { "" };
    let mut statement = format!(
        "CREATE {unique}INDEX {} ON {} ({})",
        Quoted(&index.name),
        Quoted(&place.table),
        columns.join(", ")
    );
    if let Some(condition) = &index.condition {
        statement.push_str(&format!(" WHERE {condition}"));
    }
    statement
}

/// How values of one column become those of another. What the notes allow is stored alike.
pub(crate) fn convert(from: &Column, to: &Column) -> Conversion {
    match from.kind == to.kind {
        true => Conversion::None,
        false => Conversion::Impossible,
    }
}
