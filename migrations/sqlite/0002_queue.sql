-- 0002_queue: planned by `nubo migrate plan`.
-- Read it, change it where you know better, and apply it with `nubo migrate up`, which puts it
-- into one transaction. Once it has been applied it must stay as it is.
-- Foreign keys are off meanwhile and checked at the end, so that tables can be made anew.

-- What the server notes for itself.
CREATE TABLE IF NOT EXISTS nubo_tombstones (collection TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, deleted_at INTEGER NOT NULL, PRIMARY KEY (collection, id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nubo_fields ("table" TEXT NOT NULL, field TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY ("table", field)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nubo_tombstones_deleted_at ON nubo_tombstones (deleted_at);
CREATE TABLE IF NOT EXISTS nubo_queue (number INTEGER PRIMARY KEY AUTOINCREMENT, queued_at INTEGER NOT NULL, packed BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS nubo_dead_letters (number INTEGER PRIMARY KEY, queued_at INTEGER NOT NULL, refused_at INTEGER NOT NULL, problem TEXT NOT NULL, packed BLOB NOT NULL) STRICT;
