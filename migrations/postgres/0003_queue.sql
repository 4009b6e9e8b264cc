-- 0003_queue: planned by `nubo migrate plan`.
-- Read it, change it where you know better, and apply it with `nubo migrate up`, which puts it
-- into one transaction. Once it has been applied it must stay as it is.

-- What the server notes for itself.
CREATE TABLE IF NOT EXISTS nubo.tombstones (
  collection text COLLATE "C" NOT NULL,
  id uuid NOT NULL,
  revision bigint NOT NULL,
  deleted_at bigint NOT NULL,
  PRIMARY KEY (id, collection)
);
CREATE INDEX IF NOT EXISTS tombstones_deleted_at_idx ON nubo.tombstones (deleted_at);
CREATE TABLE IF NOT EXISTS nubo.fields (
  "table" text COLLATE "C" NOT NULL,
  field text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  PRIMARY KEY ("table", field)
);
CREATE TABLE IF NOT EXISTS nubo.commits (
  lane uuid PRIMARY KEY,
  batch bigint NOT NULL,
  at timestamp with time zone NOT NULL
) WITH (fillfactor = 20);
CREATE TABLE IF NOT EXISTS nubo.gate (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  state text NOT NULL CHECK (state IN ('open', 'closing', 'closed')),
  number bigint NOT NULL,
  nonce bigint NOT NULL,
  incarnation text CHECK ((incarnation IS NOT NULL) = (state = 'open'))
);
INSERT INTO nubo.gate (state, number, nonce) VALUES ('closed', 0, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS nubo.instances (
  instance uuid PRIMARY KEY,
  seen timestamp with time zone NOT NULL,
  reaches text,
  fenced boolean NOT NULL DEFAULT false
) WITH (fillfactor = 20);
CREATE OR REPLACE FUNCTION nubo.enter(as_instance uuid, of_number bigint, of_nonce bigint, as_open bigint)
  RETURNS boolean LANGUAGE plpgsql VOLATILE AS $enter$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(7959376147062551653);
  -- What is read here is read after the lock was taken.
  PERFORM FROM nubo.gate g, nubo.instances i
    WHERE g.number = of_number AND g.nonce = of_nonce
      AND g.state = CASE as_open WHEN 1 THEN 'open' ELSE 'closed' END
      AND i.instance = as_instance AND NOT i.fenced;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the gate of the shared cache has moved, or this instance is fenced'
      USING ERRCODE = 'NB001';
  END IF;
  RETURN true;
END
$enter$;
CREATE TABLE IF NOT EXISTS nubo.by_others (
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  number bigint GENERATED ALWAYS AS IDENTITY,
  "schema" text COLLATE "C",
  "table" text COLLATE "C",
  id uuid,
  at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (transaction, number)
);
CREATE OR REPLACE FUNCTION nubo.note_by_others() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $note$
DECLARE
  noted integer := coalesce(nullif(current_setting('nubo.noted', true), ''), '0');
BEGIN
  IF noted > 1000 THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('nubo.noted', (noted + 1)::text, true);
  IF noted = 1000 THEN
    -- More than anybody wants to look at one by one.
    INSERT INTO nubo.by_others DEFAULT VALUES;
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO nubo.by_others ("schema", "table", id)
      VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, OLD.id);
  END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.id <> OLD.id) THEN
    INSERT INTO nubo.by_others ("schema", "table", id)
      VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, NEW.id);
  END IF;
  RETURN NULL;
END
$note$;
CREATE TABLE IF NOT EXISTS nubo.queue (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queued_at bigint NOT NULL,
  packed bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE TABLE IF NOT EXISTS nubo.dead_letters (
  number bigint PRIMARY KEY,
  queued_at bigint NOT NULL,
  refused_at bigint NOT NULL,
  problem text NOT NULL,
  packed bytea NOT NULL
);
