-- 0002_by_others: planned by `nubo migrate plan`.
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

-- What others write to `admin_actions` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "moderation"."admin_actions"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "moderation"."admin_actions" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `audit_logs` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "moderation"."audit_logs"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "moderation"."audit_logs" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `comments` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "content"."comments"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "content"."comments" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `conversation_members` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "messaging"."conversation_members"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "messaging"."conversation_members" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `conversations` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "messaging"."conversations_meta"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "messaging"."conversations_meta" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `feed_cache` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "content"."feed_cache"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "content"."feed_cache" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `likes` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "content"."likes"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "content"."likes" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `media` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "content"."media"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "content"."media" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `media_metadata` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "content"."media_metadata"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "content"."media_metadata" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `messages` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "messaging"."message_index"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "messaging"."message_index" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `notifications` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "messaging"."notifications"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "messaging"."notifications" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `posts` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "content"."posts"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "content"."posts" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `relations` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "auth"."relations"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "auth"."relations" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `reports` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "moderation"."reports"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "moderation"."reports" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `sessions` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "auth"."sessions"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "auth"."sessions" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `user_activity_logs` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "moderation"."user_activity_logs"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "moderation"."user_activity_logs" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `user_settings` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "auth"."user_settings"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "auth"."user_settings" ENABLE ALWAYS TRIGGER nubo_by_others;

-- What others write to `users` is noted.
CREATE OR REPLACE TRIGGER nubo_by_others AFTER INSERT OR UPDATE OR DELETE ON "auth"."users"
  FOR EACH ROW WHEN (current_setting('nubo.hand', true) IS DISTINCT FROM 'own')
  EXECUTE FUNCTION nubo.note_by_others();
ALTER TABLE "auth"."users" ENABLE ALWAYS TRIGGER nubo_by_others;
