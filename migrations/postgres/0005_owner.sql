-- 0005_owner: planned by `nubo migrate plan`.
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
  incarnation text CHECK ((incarnation IS NOT NULL) = (state = 'open')),
  owner uuid
);
ALTER TABLE nubo.gate ADD COLUMN IF NOT EXISTS owner uuid;
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
      AND (g.owner IS NULL OR g.owner = as_instance)
      AND i.instance = as_instance AND NOT i.fenced;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the gate of the shared cache has moved, or this instance is fenced'
      USING ERRCODE = 'NB001';
  END IF;
  RETURN true;
END
$enter$;
CREATE TABLE IF NOT EXISTS nubo.outbox (
  instance uuid NOT NULL,
  batch bigint NOT NULL,
  "schema" text COLLATE "C" NOT NULL,
  "table" text COLLATE "C" NOT NULL,
  ids uuid[] NOT NULL,
  at timestamp with time zone NOT NULL DEFAULT now(),
  PRIMARY KEY (instance, batch, "schema", "table")
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE TABLE IF NOT EXISTS nubo.recent (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  identity uuid NOT NULL DEFAULT gen_random_uuid(),
  number bigint NOT NULL,
  nonce bigint NOT NULL,
  shape bigint,
  sound boolean NOT NULL,
  seen timestamp with time zone,
  cleaned timestamp with time zone
);
INSERT INTO nubo.recent (number, nonce, sound) VALUES (0, 0, false) ON CONFLICT DO NOTHING;
CREATE OR REPLACE FUNCTION nubo.has_recent() RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $has$ SELECT EXISTS (SELECT FROM nubo.recent WHERE sound AND seen > now() - interval '1 hour') $has$;
CREATE TABLE IF NOT EXISTS nubo.recent_marks (
  process uuid PRIMARY KEY,
  mark bigint NOT NULL
) WITH (fillfactor = 20);
CREATE TABLE IF NOT EXISTS nubo.recent_covered (
  "schema" text COLLATE "C" NOT NULL,
  "table" text COLLATE "C" NOT NULL,
  since bigint NOT NULL,
  PRIMARY KEY ("schema", "table")
);
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
    UPDATE nubo.recent SET sound = false WHERE sound;
    RETURN NULL;
  END IF;
  -- Where there is a recent tier it is to be brought up to date, whoever is there to do so.
  IF nubo.has_recent() THEN
    INSERT INTO nubo.outbox (instance, batch, "schema", "table", ids)
      VALUES (gen_random_uuid(), 0, TG_TABLE_SCHEMA, TG_TABLE_NAME,
        CASE TG_OP WHEN 'INSERT' THEN ARRAY[NEW.id] WHEN 'DELETE' THEN ARRAY[OLD.id]
          ELSE ARRAY[OLD.id, NEW.id] END);
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
CREATE OR REPLACE FUNCTION nubo.raise_revision() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $raise$
DECLARE
  clock bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._rev := greatest(NEW._rev, clock);
  ELSIF coalesce(NEW._rev, OLD._rev) <= OLD._rev THEN
    NEW._rev := greatest(OLD._rev + 1, clock);
  END IF;
  RETURN NEW;
END
$raise$;
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
