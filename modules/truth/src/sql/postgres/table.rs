//! What a schema looks like in PostgreSQL: schemas, tables, keys and indexes.
//!
//! Tables come first and their foreign keys after all of them, since references may lead in
//! circles.

use nubo_core::{declare::IndexKind, field::FieldType, schema::Collection};
use serde_json::Value as Json;

use super::{Postgres, gate, others, outbox, types::Type};
use crate::{
    migrate::{
        declared::{self, Declares},
        difference::{Change, Conversion},
        model::{Column, Index, Place, Table},
        script::Block,
        step::Step,
    },
    sql::{
        Dialect, Quoted,
        index::{self, fingerprint},
        notes,
    },
};

/// The schema of what belongs to no collection.
pub(crate) const OWN_SCHEMA: &str = "nubo";
/// What type each column was declared with: PostgreSQL's own types are fewer.
pub(crate) const FIELDS: &str = "nubo.fields";
/// For each connection that writes, the batch that it has committed last.
pub(crate) const COMMITS: &str = "nubo.commits";
/// Which migrations have been applied.
pub(crate) const MIGRATIONS: &str = "nubo.migrations";

/// Indexes that an import has dropped and not built again yet.
pub(crate) const DROPPED_INDEXES: &str = "nubo.dropped_indexes";

/// The longest name, in bytes; PostgreSQL cuts off what is beyond.
const MAX_NAME: usize = 63;

impl Declares for Postgres {
    const OWN_SCHEMA: Option<&'static str> = Some(OWN_SCHEMA);
    const WATCHES: bool = true;

    fn column_type(kind: &FieldType) -> String {
        Type::of(kind).name()
    }

    fn has_index(_: IndexKind) -> bool {
        true
    }

    /// The end of a name that is too long becomes a fingerprint.
    fn limited(name: String) -> String {
        if name.len() <= MAX_NAME {
            return name;
        }
        let fingerprint = fingerprint(&name);
        let mut end = MAX_NAME - 9;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}_{fingerprint:08x}", &name[..end])
    }
}

/// What is unique in a collection: the name of the key, and its fields.
pub(crate) fn unique_keys(collection: &Collection) -> Vec<(String, Vec<usize>)> {
    let unique = index::planned(collection)
        .into_iter()
        .filter(|index| index.unique);
    let mut keys: Vec<(String, Vec<usize>)> = unique
        .map(|index| {
            let fields = index.columns.iter().map(|column| column.field).collect();
            (Postgres::limited(index.name), fields)
        })
        .collect();
    keys.push((
        declared::primary_key::<Postgres>(collection),
        vec![Collection::ID],
    ));
    keys
}

/// The tables that belong to no collection.
fn own_tables() -> Vec<String> {
    let tombstones = Postgres::TOMBSTONES;
    let mut tables = vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {tombstones} (\n  \
             collection text COLLATE \"C\" NOT NULL,\n  \
             id uuid NOT NULL,\n  \
             revision bigint NOT NULL,\n  \
             deleted_at bigint NOT NULL,\n  \
             PRIMARY KEY (id, collection)\n)"
        ),
        format!(
            "CREATE INDEX IF NOT EXISTS tombstones_deleted_at_idx ON {tombstones} (deleted_at)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {FIELDS} (\n  \
             \"table\" text COLLATE \"C\" NOT NULL,\n  \
             field text COLLATE \"C\" NOT NULL,\n  \
             kind text NOT NULL,\n  \
             PRIMARY KEY (\"table\", field)\n)"
        ),
        // Written to with every batch, so that pages keep room for that.
        format!(
            "CREATE TABLE IF NOT EXISTS {COMMITS} (\n  \
             lane uuid PRIMARY KEY,\n  \
             batch bigint NOT NULL,\n  \
             at timestamp with time zone NOT NULL\n) WITH (fillfactor = 20)"
        ),
    ];
    tables.extend(gate::create());
    tables.extend(outbox::create());
    tables.extend(others::create());
    tables.extend(queue());
    tables
}

/// Writes that are acknowledged and not carried out yet, and those that were refused by then.
fn queue() -> [String; 2] {
    let (queue, dead_letters) = (Postgres::QUEUE, Postgres::DEAD_LETTERS);
    [
        // Rows come and go all the time, so that it is cleaned as soon as some have gone.
        format!(
            "CREATE TABLE IF NOT EXISTS {queue} (\n  \
             number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n  \
             queued_at bigint NOT NULL,\n  \
             packed bytea NOT NULL\n) \
             WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {dead_letters} (\n  \
             number bigint PRIMARY KEY,\n  \
             queued_at bigint NOT NULL,\n  \
             refused_at bigint NOT NULL,\n  \
             problem text NOT NULL,\n  \
             packed bytea NOT NULL\n)"
        ),
    ]
}

/// What makes the table of applied migrations.
pub(crate) fn create_migrations() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {MIGRATIONS} (number integer PRIMARY KEY, name text NOT NULL, \
         checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
}

/// What makes the table of dropped indexes. Only an import needs it.
pub(crate) fn create_dropped_indexes() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {DROPPED_INDEXES} (\"schema\" text COLLATE \"C\" NOT NULL, \
         \"table\" text COLLATE \"C\" NOT NULL, name text COLLATE \"C\" NOT NULL, \
         definition text NOT NULL, dropped_at timestamptz NOT NULL DEFAULT now(), \
         PRIMARY KEY (\"schema\", name))"
    )
}

/// The steps in SQL, one block each.
pub(crate) fn blocks(changes: &[Change]) -> Vec<Block> {
    let dropped = |place: &Place| {
        let mut steps = changes.iter().map(|change| &change.step);
        steps.any(|step| matches!(step, Step::DropTable(table) if table.place == *place))
    };
    changes
        .iter()
        .filter(|change| match &change.step {
            // They go with their table.
            Step::DropIndex { place, .. } | Step::Note { place, .. } | Step::Unwatch(place) => {
                !dropped(place)
            }
            _ => true,
        })
        .map(|change| {
            let mut block = Block {
                comments: vec![change.why.clone()],
                ..Block::default()
            };
            match &change.step {
                Step::CreateIndex { index, .. } => block.label.clone_from(&index.name),
                Step::AddKey { key, .. } => block.label.clone_from(&key.name),
                _ => {}
            }
            push(&change.step, &mut block);
            block
        })
        .collect()
}

fn push(step: &Step, block: &mut Block) {
    let mut say = |statement: String| block.statements.push(statement);
    match step {
        Step::OwnTables => block.statements.extend(own_tables()),
        Step::CreateSchema(name) => say(format!("CREATE SCHEMA IF NOT EXISTS {}", Quoted(name))),
        Step::CreateTable(table) => say(create(table)),
        Step::DropTable(table) => {
            say(format!("DROP TABLE {}", named(&table.place)));
            say(notes::forget(FIELDS, &table.place));
        }
        Step::RenameTable { from, to, labels } => rename_table(from, to, labels, block),
        Step::RenameConstraint { place, from, to } => say(format!(
            "ALTER TABLE {} RENAME CONSTRAINT {} TO {}",
            named(place),
            Quoted(from),
            Quoted(to)
        )),
        Step::AddColumn { place, column } => add_column(place, column, block),
        Step::DropColumn { place, column } => say(format!(
            "ALTER TABLE {} DROP COLUMN {}",
            named(place),
            Quoted(&column.name)
        )),
        Step::RenameColumn {
            place,
            from,
            to,
            labels,
        } => {
            say(format!(
                "ALTER TABLE {} RENAME COLUMN {} TO {}",
                named(place),
                Quoted(from),
                Quoted(to)
            ));
            say(notes::rename_field(FIELDS, place, labels));
        }
        Step::ConvertColumn { place, from, to } => match convert(from, to) {
            Conversion::By(expression) => {
                block
                    .comments
                    .push("Nobody can use the table while all of it is rewritten.".into());
                block.statements.push(format!(
                    "ALTER TABLE {} ALTER COLUMN {} TYPE {}{} USING {expression}",
                    named(place),
                    Quoted(&from.name),
                    to.kind,
                    collation(&to.kind)
                ));
            }
            Conversion::None => {}
            // Taken back, where the way there has no way back.
            Conversion::Impossible => {
                block.comments.push("Its values are lost.".into());
                replace_column(place, from, to, block);
            }
        },
        Step::ReplaceColumn { place, from, to } => replace_column(place, from, to, block),
        Step::Require { place, column } => {
            fill(place, column, block);
            block.statements.push(alter(place, column, "SET NOT NULL"));
        }
        Step::Relax { place, column } => say(alter(place, column, "DROP NOT NULL")),
        Step::CreateIndex { place, index } => say(create_index(place, index)),
        Step::DropIndex { place, index } => say(format!(
            "DROP INDEX {}.{}",
            Quoted(&place.schema),
            Quoted(&index.name)
        )),
        Step::RenameIndex { place, from, to } => say(format!(
            "ALTER INDEX {}.{} RENAME TO {}",
            Quoted(&place.schema),
            Quoted(&from.name),
            Quoted(&to.name)
        )),
        Step::AddKey { place, key } => say(format!(
            "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} (\"id\")",
            named(place),
            Quoted(&key.name),
            Quoted(&key.column),
            named(&key.target)
        )),
        Step::DropKey { place, key } => say(format!(
            "ALTER TABLE {} DROP CONSTRAINT {}",
            named(place),
            Quoted(&key.name)
        )),
        Step::Watch(place) => block.statements.extend(others::watch(&named(place))),
        Step::Unwatch(place) => block.statements.extend(others::unwatch(&named(place))),
        Step::Note { place, to, .. } => block.statements.extend(notes::note(FIELDS, place, to)),
    }
}

pub(crate) fn named(place: &Place) -> String {
    format!("{}.{}", Quoted(&place.schema), Quoted(&place.table))
}

fn create(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| {
        let not_null = if column.not_null { " NOT NULL" } else { "" };
        format!("{}{not_null}", typed(column))
    });
    let key = format!(
        "CONSTRAINT {} PRIMARY KEY (\"id\")",
        Quoted(&table.primary_key)
    );
    let parts: Vec<String> = columns.chain([key]).collect();
    format!(
        "CREATE TABLE {} (\n  {}\n)",
        named(&table.place),
        parts.join(",\n  ")
    )
}

fn typed(column: &Column) -> String {
    let kind = &column.kind;
    format!("{} {kind}{}", Quoted(&column.name), collation(kind))
}

/// Text compares by code point, whatever the language of the database.
fn collation(kind: &str) -> &'static str {
    match kind {
        "text" | "text[]" => " COLLATE \"C\"",
        _ => "",
    }
}

fn replace_column(place: &Place, from: &Column, to: &Column, block: &mut Block) {
    block.statements.push(format!(
        "ALTER TABLE {} DROP COLUMN {}",
        named(place),
        Quoted(&from.name)
    ));
    add_column(place, to, block);
}

fn alter(place: &Place, column: &Column, what: &str) -> String {
    format!(
        "ALTER TABLE {} ALTER COLUMN {} {what}",
        named(place),
        Quoted(&column.name)
    )
}

fn add_column(place: &Place, column: &Column, block: &mut Block) {
    let add = format!("ALTER TABLE {} ADD COLUMN {}", named(place), typed(column));
    match (&column.fill, column.not_null) {
        (Some(default), not_null) => {
            let not_null = if not_null { " NOT NULL" } else { "" };
            block
                .statements
                .push(format!("{add}{not_null} DEFAULT {default}"));
            // New documents bring their value along.
            block.statements.push(alter(place, column, "DROP DEFAULT"));
        }
        (None, false) => block.statements.push(add),
        (None, true) => {
            block.statements.push(add);
            fill(place, column, block);
            block.statements.push(alter(place, column, "SET NOT NULL"));
        }
    }
}

/// Gives rows without a value one before one is demanded. Which one, a person says where the
/// collection does not.
fn fill(place: &Place, column: &Column, block: &mut Block) {
    let name = Quoted(&column.name);
    let table = named(place);
    match &column.fill {
        Some(fill) => block.statements.push(format!(
            "UPDATE {table} SET {name} = {fill} WHERE {name} IS NULL"
        )),
        None => block.comments.push(format!(
            "Documents that exist need a value before the last statement, which is refused \
             otherwise, such as: UPDATE {table} SET {name} = … WHERE {name} IS NULL;"
        )),
    }
}

fn create_index(place: &Place, index: &Index) -> String {
    let columns = index.columns.iter().map(|column| {
        let name = Quoted(&column.name);
        // PostgreSQL has nulls last ascending and first descending.
        let order = match (column.descending, column.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, false) => " DESC NULLS LAST",
            (true, true) => " DESC",
        };
        format!("{name}{order}")
    });
    let columns: Vec<String> = columns.collect();
    let unique = if index.unique { "UNIQUE " } else { "" };
    let using = match index.kind {
        IndexKind::Btree => "",
        IndexKind::Gin => " USING gin",
    };
    let mut statement = format!(
        "CREATE {unique}INDEX {} ON {}{using} ({})",
        Quoted(&index.name),
        named(place),
        columns.join(", ")
    );
    if let Some(condition) = &index.condition {
        statement.push_str(&format!(" WHERE {condition}"));
    }
    statement
}

fn rename_table(from: &Place, to: &Place, labels: &(String, String), block: &mut Block) {
    let mut say = |statement: String| block.statements.push(statement);
    if from.schema != to.schema {
        let schema = Quoted(&to.schema);
        say(format!("ALTER TABLE {} SET SCHEMA {schema}", named(from)));
    }
    if from.table != to.table {
        let here = Place {
            schema: to.schema.clone(),
            table: from.table.clone(),
        };
        let name = Quoted(&to.table);
        say(format!("ALTER TABLE {} RENAME TO {name}", named(&here)));
    }
    for statement in notes::rename_table(FIELDS, Postgres::TOMBSTONES, (from, to), labels) {
        say(statement);
    }
}

/// How values of one column become those of another. The notes say already whether they can.
pub(crate) fn convert(from: &Column, to: &Column) -> Conversion {
    if from.kind == to.kind {
        return Conversion::None;
    }
    let name = Quoted(&from.name).to_string();
    let noted = |column: &Column| match &column.noted {
        Some(Json::String(word)) => word.clone(),
        Some(Json::Array(items)) => format!("{}[]", items[0].as_str().unwrap_or_default()),
        _ => String::new(),
    };
    let (was, becomes) = (noted(from), noted(to));
    Conversion::By(match (was.as_str(), becomes.as_str()) {
        ("int", "bigint") => format!("{name}::bigint"),
        ("int[]", "bigint[]") => format!("{name}::bigint[]"),
        ("uuid", "text") => format!("{name}::text"),
        ("uuid[]", "text[]") => format!("{name}::text[]"),
        ("ip", "text") => format!("host({name})"),
        ("date", "text") => format!("to_char({name}, 'YYYY-MM-DD')"),
        ("timestamp", "text") => {
            format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
        }
        ("text[]" | "email[]" | "url[]" | "uuid[]" | "int[]" | "bool[]" | "float[]", "json") => {
            format!("to_jsonb({name})")
        }
        // Back again. What does not fit fails, and nothing is changed.
        ("bigint", "int")
        | ("bigint[]", "int[]")
        | ("text", "uuid" | "ip" | "date" | "timestamp")
        | ("text[]", "uuid[]") => format!("{name}::{}", to.kind),
        _ => return Conversion::Impossible,
    })
}
