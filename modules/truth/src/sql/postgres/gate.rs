//! The gate of the cache that instances share, and who they are: two tables and a function.
//!
//! Whoever commits calls the function, which keeps the gate from moving until the commit; whoever
//! moves the gate waits for those. A lock that is in no table does both, so that committing side by
//! side writes nothing.

use std::fmt::Display;

use nubo_core::coordination::Terms;

/// The gate: one row.
pub(crate) const GATE: &str = "nubo.gate";
/// Its column that says whose it is where it is one instance's alone.
pub(crate) const OWNER: &str = "owner";
/// Those who use it.
pub(crate) const INSTANCES: &str = "nubo.instances";
/// Enters: what is committed afterwards is committed under these terms.
pub(crate) const ENTER: &str = "nubo.enter";

/// What the database says where the terms do not hold.
pub(crate) const TERMS: &str = "NB001";

/// The lock that keeps the gate from moving: `nubogate` in ASCII.
const LOCK: i64 = 0x6e75_626f_6761_7465;

/// Waits until nobody commits, and lets nobody until the end of the transaction.
pub(crate) fn hold() -> String {
    format!("SELECT pg_advisory_xact_lock({LOCK})")
}

/// The call that enters, for a statement without arguments.
pub(crate) fn enter(terms: &Terms) -> String {
    format!(
        "{ENTER}('{}'::uuid, {}, {}, {})",
        terms.instance,
        terms.epoch.number,
        terms.epoch.nonce,
        i64::from(terms.open)
    )
}

/// What makes the tables and the function.
pub(crate) fn create() -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {GATE} (\n  \
             one boolean PRIMARY KEY DEFAULT true CHECK (one),\n  \
             state text NOT NULL CHECK (state IN ('open', 'closing', 'closed')),\n  \
             number bigint NOT NULL,\n  \
             nonce bigint NOT NULL,\n  \
             incarnation text CHECK ((incarnation IS NOT NULL) = (state = 'open')),\n  \
             owner uuid\n)"
        ),
        // The table is older than the column.
        format!("ALTER TABLE {GATE} ADD COLUMN IF NOT EXISTS {OWNER} uuid"),
        format!(
            "INSERT INTO {GATE} (state, number, nonce) VALUES ('closed', 0, 0) \
             ON CONFLICT DO NOTHING"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {INSTANCES} (\n  \
             instance uuid PRIMARY KEY,\n  \
             seen timestamp with time zone NOT NULL,\n  \
             reaches text,\n  \
             fenced boolean NOT NULL DEFAULT false\n) WITH (fillfactor = 20)"
        ),
        format!(
            "CREATE OR REPLACE FUNCTION {ENTER}\
             (as_instance uuid, of_number bigint, of_nonce bigint, as_open bigint)\n  \
             RETURNS boolean LANGUAGE plpgsql VOLATILE AS $enter$\n\
             BEGIN\n  \
             PERFORM pg_advisory_xact_lock_shared({LOCK});\n  \
             -- What is read here is read after the lock was taken.\n  \
             PERFORM FROM {GATE} g, {INSTANCES} i\n    \
             WHERE g.number = of_number AND g.nonce = of_nonce\n      \
             AND g.state = CASE as_open WHEN 1 THEN 'open' ELSE 'closed' END\n      \
             AND (g.owner IS NULL OR g.owner = as_instance)\n      \
             AND i.instance = as_instance AND NOT i.fenced;\n  \
             IF NOT FOUND THEN\n    \
             RAISE EXCEPTION 'the gate of the shared cache has moved, or this instance is fenced'\n      \
             USING ERRCODE = '{TERMS}';\n  \
             END IF;\n  \
             RETURN true;\n\
             END\n\
             $enter$"
        ),
    ]
}

/// Shows that an instance is there, unless it has just done so, and reads the gate and all instances.
/// Arguments: the instance, the server that it reaches.
pub(crate) fn look() -> String {
    format!(
        "WITH shown AS (UPDATE {INSTANCES} SET seen = clock_timestamp(), reaches = $2 \
         WHERE instance = $1::text::uuid AND NOT fenced \
         AND (reaches IS DISTINCT FROM $2 OR seen < clock_timestamp() - interval '0.8 seconds')) \
         SELECT g.state, g.number::text, g.nonce::text, g.incarnation, i.instance::text, \
         (extract(epoch FROM clock_timestamp() - i.seen) * 1000000)::bigint::text, i.reaches, \
         coalesce(i.fenced, false)::text, g.owner::text \
         FROM {GATE} g LEFT JOIN {INSTANCES} i ON true ORDER BY i.instance"
    )
}

/// Moves the gate while nobody commits. Arguments: the state, the incarnation, the number, the nonce and
/// the owner it gets; the state, the number, the nonce and the owner it must have.
///
/// It is one statement and a transaction of its own, so that nobody waits for one who has stopped in
/// the middle. The row may be another one than when the statement began: the database looks at the
/// conditions again where it has changed (read committed).
pub(crate) fn shift() -> String {
    format!(
        "WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock({LOCK})) \
         UPDATE {GATE} SET state = $1, incarnation = $2, number = $3::text::bigint, \
         nonce = $4::text::bigint, owner = $5::text::uuid FROM held \
         WHERE state = $6 AND number = $7::text::bigint AND nonce = $8::text::bigint \
         AND owner IS NOT DISTINCT FROM $9::text::uuid"
    )
}

/// Adds an instance.
pub(crate) fn join(instance: impl Display) -> String {
    format!(
        "INSERT INTO {INSTANCES} (instance, seen) VALUES ('{instance}', clock_timestamp()) \
         ON CONFLICT (instance) DO NOTHING"
    )
}

/// Fences an instance.
pub(crate) fn fence(instance: impl Display) -> String {
    format!("UPDATE {INSTANCES} SET fenced = true WHERE instance = '{instance}'")
}

/// Removes an instance.
pub(crate) fn remove(instance: impl Display) -> String {
    format!("DELETE FROM {INSTANCES} WHERE instance = '{instance}'")
}
