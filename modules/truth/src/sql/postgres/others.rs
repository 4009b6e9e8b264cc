//! What others write: a table in which the database notes which documents, and the triggers that do.
//!
//! Own connections say so in a setting (`nubo.hand`), which the condition of the trigger looks at, so
//! that for their rows no function is called and nothing is noted. A trigger fires *always*, so that
//! also those are noticed who write in the role of a replica, such as a subscription.
//!
//! There is no NOTIFY: who prepares a transaction could not do so any longer, and who commits would
//! wait for all others who notify. The table is looked at often enough.

use super::outbox::{IS_USED, OUTBOX, RECENT};

/// Which documents others have written. Where it says nothing of a document, all of them.
pub(crate) const BY_OTHERS: &str = "nubo.by_others";
/// The triggers of each table: the first notes documents, the second sees to it that what others
/// write has a revision of its own.
pub(crate) const TRIGGERS: [&str; 2] = [TRIGGER, RAISING];

const TRIGGER: &str = "nubo_by_others";
const RAISING: &str = "nubo_raised";

/// What the trigger calls.
const FUNCTION: &str = "nubo.note_by_others";
/// What the second one calls.
const RAISE: &str = "nubo.raise_revision";
/// So many documents of one transaction are noted one by one.
const MOST: usize = 1000;

/// What makes the table and the function.
///
/// The function runs as its owner: who may write documents need not be allowed to write here. Its
/// count is part of the transaction, and of a savepoint that is rolled back together with the rows.
pub(crate) fn create() -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {BY_OTHERS} (\n  \
             transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),\n  \
             number bigint GENERATED ALWAYS AS IDENTITY,\n  \
             \"schema\" text COLLATE \"C\",\n  \
             \"table\" text COLLATE \"C\",\n  \
             id uuid,\n  \
             at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),\n  \
             PRIMARY KEY (transaction, number)\n)"
        ),
        format!(
            "CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger\n  \
             LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $note$\n\
             DECLARE\n  \
             noted integer := coalesce(nullif(current_setting('nubo.noted', true), ''), '0');\n\
             BEGIN\n  \
             IF noted > {MOST} THEN\n    \
             RETURN NULL;\n  \
             END IF;\n  \
             PERFORM set_config('nubo.noted', (noted + 1)::text, true);\n  \
             IF noted = {MOST} THEN\n    \
             -- More than anybody wants to look at one by one.\n    \
             INSERT INTO {BY_OTHERS} DEFAULT VALUES;\n    \
             UPDATE {RECENT} SET sound = false WHERE sound;\n    \
             RETURN NULL;\n  \
             END IF;\n  \
             -- Where there is a recent tier it is to be brought up to date, whoever is there to do so.\n  \
             IF {IS_USED}() THEN\n    \
             INSERT INTO {OUTBOX} (instance, batch, \"schema\", \"table\", ids)\n      \
             VALUES (gen_random_uuid(), 0, TG_TABLE_SCHEMA, TG_TABLE_NAME,\n        \
             CASE TG_OP WHEN 'INSERT' THEN ARRAY[NEW.id] WHEN 'DELETE' THEN ARRAY[OLD.id]\n          \
             ELSE ARRAY[OLD.id, NEW.id] END);\n  \
             END IF;\n  \
             IF TG_OP <> 'INSERT' THEN\n    \
             INSERT INTO {BY_OTHERS} (\"schema\", \"table\", id)\n      \
             VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, OLD.id);\n  \
             END IF;\n  \
             IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.id <> OLD.id) THEN\n    \
             INSERT INTO {BY_OTHERS} (\"schema\", \"table\", id)\n      \
             VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, NEW.id);\n  \
             END IF;\n  \
             RETURN NULL;\n\
             END\n\
             $note$"
        ),
        format!(
            "CREATE OR REPLACE FUNCTION {RAISE}() RETURNS trigger\n  \
             LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $raise$\n\
             DECLARE\n  \
             clock bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;\n\
             BEGIN\n  \
             IF TG_OP = 'INSERT' THEN\n    \
             NEW._rev := greatest(NEW._rev, clock);\n  \
             ELSIF coalesce(NEW._rev, OLD._rev) <= OLD._rev THEN\n    \
             NEW._rev := greatest(OLD._rev + 1, clock);\n  \
             END IF;\n  \
             RETURN NEW;\n\
             END\n\
             $raise$"
        ),
    ]
}

/// What has the database note what others write to a table.
pub(crate) fn watch(table: &str) -> [String; 4] {
    [
        format!(
            "CREATE OR REPLACE TRIGGER {TRIGGER} AFTER INSERT OR UPDATE OR DELETE ON {table}\n  \
             FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')\n  \
             EXECUTE FUNCTION {FUNCTION}()"
        ),
        format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRIGGER}"),
        format!(
            "CREATE OR REPLACE TRIGGER {RAISING} BEFORE INSERT OR UPDATE ON {table}\n  \
             FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')\n  \
             EXECUTE FUNCTION {RAISE}()"
        ),
        format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {RAISING}"),
    ]
}

/// What ends that.
pub(crate) fn unwatch(table: &str) -> [String; 2] {
    TRIGGERS.map(|trigger| format!("DROP TRIGGER IF EXISTS {trigger} ON {table}"))
}

/// A number for what the tables look like: another file, as TRUNCATE and ALTER TABLE make one, or
/// another state of the trigger changes that.
pub(crate) fn shape() -> String {
    format!(
        "(SELECT hashtextextended(coalesce(string_agg(concat_ws(':', c.oid, c.relfilenode, t.oid, \
         t.tgenabled, t.xmin::text), ',' ORDER BY c.oid), ''), 0) \
         FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgname = '{TRIGGER}')"
    )
}

/// Looks at what others have written since a snapshot, so many documents at most. Argument: the
/// snapshot.
///
/// What is asked for is what was not visible in that snapshot and is now, so that nothing is missed
/// whose transaction began early and committed late.
///
/// Every row has the present snapshot, its oldest transaction, the time in milliseconds, when the
/// server was started, and what the tables look like.
pub(crate) fn look(most: usize) -> String {
    let shape = shape();
    format!(
        "SELECT pg_current_snapshot()::text, pg_snapshot_xmin(pg_current_snapshot())::text, \
         (extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
         pg_postmaster_start_time()::text, {shape}, \
         o.is_noted, o.\"schema\", o.\"table\", o.id::text, o.transaction::text \
         FROM (VALUES (1)) AS one \
         LEFT JOIN (SELECT DISTINCT true AS is_noted, \"schema\", \"table\", id, transaction \
         FROM {BY_OTHERS} \
         WHERE transaction >= pg_snapshot_xmin($1::text::pg_snapshot) \
         AND NOT pg_visible_in_snapshot(transaction, $1::text::pg_snapshot) \
         LIMIT {most}) AS o ON true"
    )
}

/// Deletes what transactions before one have noted, so many rows at most. Argument: the transaction.
pub(crate) fn prune(most: usize) -> String {
    format!(
        "DELETE FROM {BY_OTHERS} WHERE (transaction, number) IN \
         (SELECT transaction, number FROM {BY_OTHERS} WHERE transaction < $1::text::xid8 \
         ORDER BY transaction, number LIMIT {most} FOR UPDATE SKIP LOCKED)"
    )
}
