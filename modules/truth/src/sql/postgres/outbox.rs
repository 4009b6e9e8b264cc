//! What has not arrived in the recent tier yet, and what is known of that tier: tables beside the data.
//!
//! Each batch adds a row for each table that it has written to, in its own transaction; the triggers
//! that note what others write ([`super::others`]) do so as well.

use std::fmt::Write;

use nubo_core::{id::Id, observe::BatchId};

use super::{Argument, Postgres, others};
use crate::sql::Dialect;

/// The notes.
pub(crate) const OUTBOX: &str = "nubo.outbox";
/// The recent tier: one row.
pub(crate) const RECENT: &str = "nubo.recent";
/// How far each process has come by what arrived.
const MARKS: &str = "nubo.recent_marks";
/// Since when the recent tier has every document of a table, in milliseconds.
const COVERED: &str = "nubo.recent_covered";

/// Whether somebody uses the recent tier, so that it is to be brought up to date.
pub(crate) const IS_USED: &str = "nubo.has_recent";

/// So many notes are counted at most.
const COUNTED: u32 = 10_000;
/// For how long nobody may be there who keeps the tier.
const UNUSED: &str = "interval '1 hour'";
/// How often it is noted that somebody is.
const SEEN: &str = "interval '1 minute'";

/// What a batch notes of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub instance: Id,
    pub batch: BatchId,
    /// Its documents, by the schemas and names of their tables.
    pub documents: Vec<((String, String), Vec<Id>)>,
}

/// What makes the tables.
pub(crate) fn create() -> Vec<String> {
    vec![
        // Rows come and go all the time, so that it is cleaned as soon as some have gone.
        format!(
            "CREATE TABLE IF NOT EXISTS {OUTBOX} (\n  \
             instance uuid NOT NULL,\n  \
             batch bigint NOT NULL,\n  \
             \"schema\" text COLLATE \"C\" NOT NULL,\n  \
             \"table\" text COLLATE \"C\" NOT NULL,\n  \
             ids uuid[] NOT NULL,\n  \
             at timestamp with time zone NOT NULL DEFAULT now(),\n  \
             PRIMARY KEY (instance, batch, \"schema\", \"table\")\n) \
             WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {RECENT} (\n  \
             one boolean PRIMARY KEY DEFAULT true CHECK (one),\n  \
             identity uuid NOT NULL DEFAULT gen_random_uuid(),\n  \
             number bigint NOT NULL,\n  \
             nonce bigint NOT NULL,\n  \
             shape bigint,\n  \
             sound boolean NOT NULL,\n  \
             seen timestamp with time zone,\n  \
             cleaned timestamp with time zone\n)"
        ),
        format!(
            "INSERT INTO {RECENT} (number, nonce, sound) VALUES (0, 0, false) \
             ON CONFLICT DO NOTHING"
        ),
        format!(
            "CREATE OR REPLACE FUNCTION {IS_USED}() RETURNS boolean\n  \
             LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp\n  \
             AS $has$ SELECT EXISTS (SELECT FROM {RECENT} WHERE sound AND seen > now() - {UNUSED}) $has$"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {MARKS} (\n  \
             process uuid PRIMARY KEY,\n  \
             mark bigint NOT NULL\n) WITH (fillfactor = 20)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {COVERED} (\n  \
             \"schema\" text COLLATE \"C\" NOT NULL,\n  \
             \"table\" text COLLATE \"C\" NOT NULL,\n  \
             since bigint NOT NULL,\n  \
             PRIMARY KEY (\"schema\", \"table\")\n)"
        ),
    ]
}

/// Adds the note of a batch, where the tier is used; a statement without arguments.
pub(crate) fn add(note: &Note) -> String {
    let Note {
        instance, batch, ..
    } = note;
    let text_of = |text: &str| Postgres::literal(&Argument::text(text));
    let mut text = format!(
        "INSERT INTO {OUTBOX} (instance, batch, \"schema\", \"table\", ids) \
         SELECT * FROM (VALUES "
    );
    for (at, ((schema, table), ids)) in note.documents.iter().enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        // Writing into a string cannot fail.
        let written = write!(
            text,
            "('{instance}'::uuid, {}::bigint, {}, {}, '{{",
            batch.0,
            text_of(schema),
            text_of(table)
        );
        debug_assert!(written.is_ok());
        for (at, id) in ids.iter().enumerate() {
            let written = write!(text, "{}{id}", if at > 0 { "," } else { "" });
            debug_assert!(written.is_ok());
        }
        text.push_str("}'::uuid[])");
    }
    text + ") AS note WHERE " + IS_USED + "()"
}

/// The same, of one table, for the beginning of a statement. Arguments: the instance, the batch,
/// the schema, the table and the ids, by their places.
pub(crate) fn add_by_arguments(first: usize) -> String {
    format!(
        "INSERT INTO {OUTBOX} (instance, batch, \"schema\", \"table\", ids) \
         SELECT ${}, ${}, ${}, ${}, ${} WHERE {IS_USED}()",
        first,
        first + 1,
        first + 2,
        first + 3,
        first + 4
    )
}

/// Whether the tier was ever used.
pub(crate) fn was_used() -> String {
    format!("SELECT number > 0 FROM {RECENT}")
}

/// Notes that somebody keeps the tier, unless nobody has for long or that was noted of late.
pub(crate) fn show() -> String {
    format!(
        "UPDATE {RECENT} SET seen = clock_timestamp() \
         WHERE sound AND seen < clock_timestamp() - {SEEN} AND seen > clock_timestamp() - {UNUSED}"
    )
}

/// What is known of the recent tier: its epoch, this database, whether it is sound, the marks, since
/// when what is covered, how many notes there are and how old the oldest is, and the time, both in
/// milliseconds.
pub(crate) fn standing() -> String {
    let shape = others::shape();
    format!(
        "SELECT r.number, r.nonce, r.identity::text, \
         r.sound AND coalesce(r.seen > clock_timestamp() - {UNUSED}, false) \
         AND r.shape IS NOT DISTINCT FROM {shape}, \
         (SELECT coalesce(json_agg(json_build_array(process, mark)), '[]')::text FROM {MARKS}), \
         (SELECT coalesce(json_agg(json_build_array(\"schema\", \"table\", since)), '[]')::text \
         FROM {COVERED}), \
         (SELECT count(*) FROM (SELECT FROM {OUTBOX} LIMIT {COUNTED}) AS counted), \
         coalesce((SELECT (extract(epoch FROM clock_timestamp() - min(at)) * 1000)::bigint \
         FROM (SELECT at FROM {OUTBOX} LIMIT {COUNTED}) AS counted), 0), \
         (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
         FROM {RECENT} r"
    )
}

/// Begins an epoch, which has nothing of what there is by now. Arguments: its number and nonce, those
/// of the one that it follows.
pub(crate) fn found() -> String {
    let shape = others::shape();
    format!(
        "WITH founded AS (UPDATE {RECENT} SET number = $1, nonce = $2, sound = true, \
         shape = {shape}, seen = clock_timestamp() WHERE number = $3 AND nonce = $4 RETURNING true), \
         unmarked AS (DELETE FROM {MARKS} WHERE EXISTS (SELECT FROM founded)), \
         uncovered AS (DELETE FROM {COVERED} WHERE EXISTS (SELECT FROM founded)), \
         forgotten AS (DELETE FROM {OUTBOX} WHERE EXISTS (SELECT FROM founded)) \
         SELECT count(*) FROM founded"
    )
}

/// Has the recent tier begin anew; nothing is noted until it has.
pub(crate) fn give_up() -> String {
    format!("UPDATE {RECENT} SET sound = false WHERE sound")
}

/// Keeps the epoch. Arguments: its number and nonce.
pub(crate) fn hold() -> String {
    format!("SELECT FROM {RECENT} WHERE number = $1 AND nonce = $2 FOR SHARE")
}

/// Notes since when what is covered. Arguments: schema, table, milliseconds.
pub(crate) fn cover() -> String {
    format!(
        "INSERT INTO {COVERED} (\"schema\", \"table\", since) VALUES ($1, $2, $3) \
         ON CONFLICT (\"schema\", \"table\") DO UPDATE SET since = excluded.since"
    )
}

/// Removes notes. Arguments: their instances and their batches.
pub(crate) fn remove() -> String {
    format!(
        "DELETE FROM {OUTBOX} o USING unnest($1::text[], $2::bigint[]) AS n (instance, batch) \
         WHERE o.instance = n.instance::uuid AND o.batch = n.batch"
    )
}

/// Moves the mark of a process by one. Arguments: the process, the mark it gets.
pub(crate) fn mark() -> String {
    format!(
        "INSERT INTO {MARKS} (process, mark) SELECT $1::text::uuid, $2 \
         WHERE $2 = 1 OR EXISTS (SELECT FROM {MARKS} WHERE process = $1::text::uuid) \
         ON CONFLICT (process) DO UPDATE SET mark = excluded.mark \
         WHERE recent_marks.mark = excluded.mark - 1"
    )
}

/// Notes behind a place that were visible at a moment. Arguments: the moment in milliseconds; the
/// instance, the batch, the schema and the table of the place; how many. In the order of the table, and
/// not of what is read from it, so that the primary key has it.
pub(crate) fn notes() -> String {
    format!(
        "SELECT o.instance::text, o.batch, o.\"schema\", o.\"table\", array_to_string(o.ids, ',') \
         FROM {OUTBOX} o WHERE o.at <= to_timestamp(($1 + 1) / 1000.0) \
         AND (o.instance, o.batch, o.\"schema\", o.\"table\") > ($2::text::uuid, $3, $4, $5) \
         ORDER BY o.instance, o.batch, o.\"schema\", o.\"table\" LIMIT $6"
    )
}

/// Those of some batches of which there is a note. Arguments: their instances and their batches.
pub(crate) fn noted() -> String {
    format!(
        "SELECT DISTINCT o.instance::text, o.batch FROM {OUTBOX} o \
         JOIN unnest($1::text[], $2::bigint[]) AS n (instance, batch) \
         ON o.instance = n.instance::uuid AND o.batch = n.batch"
    )
}

/// Counts the tier as cleaned, unless it was within so many milliseconds. Argument: those.
pub(crate) fn clean() -> String {
    format!(
        "UPDATE {RECENT} SET cleaned = clock_timestamp() WHERE cleaned IS NULL \
         OR cleaned < clock_timestamp() - $1 * interval '1 millisecond'"
    )
}
