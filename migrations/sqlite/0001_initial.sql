-- 0001_initial: planned by `nubo migrate plan`.
-- Read it, change it where you know better, and apply it with `nubo migrate up`, which puts it
-- into one transaction. Once it has been applied it must stay as it is.
-- Foreign keys are off meanwhile and checked at the end, so that tables can be made anew.

-- What the server notes for itself.
CREATE TABLE IF NOT EXISTS nubo_tombstones (collection TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, deleted_at INTEGER NOT NULL, PRIMARY KEY (collection, id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nubo_fields ("table" TEXT NOT NULL, field TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY ("table", field)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nubo_tombstones_deleted_at ON nubo_tombstones (deleted_at);

-- The collection `admin_actions` is new.
CREATE TABLE "admin_actions" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "admin_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "action" TEXT NOT NULL,
  "target_type" INTEGER,
  "target_id" TEXT,
  "details" TEXT CHECK (json_valid("details")),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `audit_logs` is new.
CREATE TABLE "audit_logs" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "actor_id" TEXT,
  "action" TEXT NOT NULL,
  "collection" TEXT,
  "document_id" TEXT,
  "diff" TEXT CHECK (json_valid("diff")),
  "ip" TEXT,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `comments` is new.
CREATE TABLE "comments" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "post_id" TEXT NOT NULL REFERENCES "posts" ("id"),
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "content" TEXT NOT NULL,
  "like_count" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `conversation_members` is new.
CREATE TABLE "conversation_members" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "conversation_id" TEXT NOT NULL REFERENCES "conversations_meta" ("id"),
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "role" INTEGER,
  "joined_at" TEXT,
  "unread_count" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `conversations` is new.
CREATE TABLE "conversations_meta" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "type" INTEGER,
  "title" TEXT,
  "last_message_id" TEXT,
  "last_message_text" TEXT,
  "last_message_time" TEXT,
  "state" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `feed_cache` is new.
CREATE TABLE "feed_cache" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "items" TEXT CHECK (json_valid("items")),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `likes` is new.
CREATE TABLE "likes" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "target_type" INTEGER NOT NULL,
  "target_id" TEXT NOT NULL,
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `media` is new.
CREATE TABLE "media" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "owner_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "storage_path" TEXT,
  "mime" TEXT,
  "size" INTEGER,
  "width" INTEGER,
  "height" INTEGER,
  "post_id" TEXT REFERENCES "posts" ("id"),
  "processing_state" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `media_metadata` is new.
CREATE TABLE "media_metadata" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "media_id" TEXT NOT NULL REFERENCES "media" ("id"),
  "labels" TEXT CHECK (json_valid("labels")),
  "thumbnails" TEXT CHECK (json_valid("thumbnails")),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `messages` is new.
CREATE TABLE "message_index" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "conversation_id" TEXT NOT NULL REFERENCES "conversations_meta" ("id"),
  "sender_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "message_type" INTEGER,
  "state" INTEGER,
  "content" TEXT,
  "attachments" TEXT CHECK (json_valid("attachments")),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `notifications` is new.
CREATE TABLE "notifications" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "kind" TEXT NOT NULL,
  "payload" TEXT CHECK (json_valid("payload")),
  "read" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `posts` is new.
CREATE TABLE "posts" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "content" TEXT,
  "media_ids" TEXT CHECK (json_valid("media_ids")),
  "meta" TEXT CHECK (json_valid("meta")),
  "visibility" INTEGER,
  "location" TEXT,
  "like_count" INTEGER,
  "comment_count" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `relations` is new.
CREATE TABLE "relations" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "primary_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "secondary_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "state" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `reports` is new.
CREATE TABLE "reports" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "actor_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "target_type" INTEGER NOT NULL,
  "target_id" TEXT NOT NULL,
  "reason" TEXT,
  "state" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `sessions` is new.
CREATE TABLE "sessions" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "refresh_token_hash" TEXT NOT NULL,
  "device_info" TEXT CHECK (json_valid("device_info")),
  "ip" TEXT CHECK (json_valid("ip")),
  "expires_at" TEXT NOT NULL,
  "generation" INTEGER,
  "refreshed_at" TEXT,
  "revoked" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `user_activity_logs` is new.
CREATE TABLE "user_activity_logs" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "user_id" TEXT NOT NULL,
  "event" TEXT NOT NULL,
  "data" TEXT CHECK (json_valid("data")),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `user_settings` is new.
CREATE TABLE "user_settings" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "privacy" TEXT CHECK (json_valid("privacy")),
  "notifications" TEXT CHECK (json_valid("notifications")),
  "language" TEXT,
  "timezone" TEXT,
  "theme" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- The collection `users` is new.
CREATE TABLE "users" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "username" TEXT NOT NULL,
  "email" TEXT NOT NULL,
  "email_verified" INTEGER,
  "phone" TEXT,
  "phone_verified" INTEGER,
  "password_hash" TEXT NOT NULL,
  "first_name" TEXT NOT NULL,
  "last_name" TEXT NOT NULL,
  "display_name" TEXT,
  "birthdate" TEXT,
  "sex" INTEGER,
  "bio" TEXT,
  "profile_picture_id" TEXT REFERENCES "media" ("id"),
  "grade" INTEGER,
  "location" TEXT,
  "school" TEXT,
  "works" TEXT,
  "badges" TEXT CHECK (json_valid("badges")),
  "roles" TEXT CHECK (json_valid("roles")),
  "state" INTEGER,
  "login_count" INTEGER,
  "last_login" TEXT,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;

-- Finds and sorts `admin_actions` by admin_id, id.
CREATE INDEX "admin_actions_admin_id_idx" ON "admin_actions" ("admin_id", "id");

-- Finds and sorts `admin_actions` by created_at, id.
CREATE INDEX "admin_actions_created_at_idx" ON "admin_actions" ("created_at", "id");

-- Finds and sorts `audit_logs` by actor_id, id.
CREATE INDEX "audit_logs_actor_id_idx" ON "audit_logs" ("actor_id", "id");

-- Finds and sorts `audit_logs` by created_at, id.
CREATE INDEX "audit_logs_created_at_idx" ON "audit_logs" ("created_at", "id");

-- Finds and sorts `comments` by post_id, created_at (descending), id (descending).
CREATE INDEX "comments_post_id_created_at_desc_idx" ON "comments" ("post_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `comments` by created_at (descending), id (descending).
CREATE INDEX "comments_created_at_desc_id_desc_idx" ON "comments" ("created_at" DESC, "id" DESC);

-- Finds and sorts `comments` by user_id.
CREATE INDEX "comments_user_id_ref" ON "comments" ("user_id");

-- No two of `conversation_members` have the same conversation_id, user_id.
CREATE UNIQUE INDEX "conversation_members_conversation_id_user_id_key" ON "conversation_members" ("conversation_id", "user_id");

-- Finds and sorts `conversation_members` by user_id, id.
CREATE INDEX "conversation_members_user_id_idx" ON "conversation_members" ("user_id", "id");

-- Finds and sorts `conversation_members` by created_at (descending), id (descending).
CREATE INDEX "conversation_members_created_at_desc_id_desc_idx" ON "conversation_members" ("created_at" DESC, "id" DESC);

-- Finds and sorts `conversations` by last_message_id, id.
CREATE INDEX "conversations_meta_last_message_id_idx" ON "conversations_meta" ("last_message_id", "id");

-- Finds and sorts `conversations` by last_message_time (descending), id (descending).
CREATE INDEX "conversations_meta_last_message_time_desc_idx" ON "conversations_meta" ("last_message_time" DESC, "id" DESC);

-- Finds and sorts `conversations` by created_at (descending), id (descending).
CREATE INDEX "conversations_meta_created_at_desc_id_desc_idx" ON "conversations_meta" ("created_at" DESC, "id" DESC);

-- Finds and sorts `feed_cache` by user_id, created_at (descending), id (descending).
CREATE INDEX "feed_cache_user_id_created_at_desc_idx" ON "feed_cache" ("user_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `feed_cache` by created_at (descending), id (descending).
CREATE INDEX "feed_cache_created_at_desc_id_desc_idx" ON "feed_cache" ("created_at" DESC, "id" DESC);

-- Finds and sorts `likes` by target_type, target_id, id.
CREATE INDEX "likes_target_type_target_id_idx" ON "likes" ("target_type", "target_id", "id");

-- No two of `likes` have the same target_type, target_id, user_id.
CREATE UNIQUE INDEX "likes_target_type_target_id_user_id_key" ON "likes" ("target_type", "target_id", "user_id");

-- Finds and sorts `likes` by created_at (descending), id (descending).
CREATE INDEX "likes_created_at_desc_id_desc_idx" ON "likes" ("created_at" DESC, "id" DESC);

-- Finds and sorts `likes` by user_id.
CREATE INDEX "likes_user_id_ref" ON "likes" ("user_id");

-- Finds and sorts `media` by owner_id, id.
CREATE INDEX "media_owner_id_idx" ON "media" ("owner_id", "id");

-- Finds and sorts `media` by created_at, id.
CREATE INDEX "media_created_at_idx" ON "media" ("created_at", "id");

-- Finds and sorts `media` by post_id.
CREATE INDEX "media_post_id_ref" ON "media" ("post_id");

-- No two of `media_metadata` have the same media_id.
CREATE UNIQUE INDEX "media_metadata_media_id_key" ON "media_metadata" ("media_id");

-- Finds and sorts `media_metadata` by created_at (descending), id (descending).
CREATE INDEX "media_metadata_created_at_desc_id_desc_idx" ON "media_metadata" ("created_at" DESC, "id" DESC);

-- Finds and sorts `messages` by conversation_id, created_at (descending), id (descending).
CREATE INDEX "message_index_conversation_id_created_at_desc_idx" ON "message_index" ("conversation_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `messages` by sender_id, id.
CREATE INDEX "message_index_sender_id_idx_199f0669" ON "message_index" ("sender_id", "id") WHERE ("message_index"."state" = 0);

-- Finds and sorts `messages` by created_at (descending), id (descending).
CREATE INDEX "message_index_created_at_desc_id_desc_idx" ON "message_index" ("created_at" DESC, "id" DESC);

-- Finds and sorts `notifications` by user_id, created_at (descending), id (descending).
CREATE INDEX "notifications_user_id_created_at_desc_idx" ON "notifications" ("user_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `notifications` by created_at (descending), id (descending).
CREATE INDEX "notifications_created_at_desc_id_desc_idx" ON "notifications" ("created_at" DESC, "id" DESC);

-- Finds and sorts `posts` by user_id, created_at (descending), id (descending).
CREATE INDEX "posts_user_id_created_at_desc_idx" ON "posts" ("user_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `posts` by created_at (descending), id (descending).
CREATE INDEX "posts_created_at_desc_id_desc_idx" ON "posts" ("created_at" DESC, "id" DESC);

-- Finds and sorts `relations` by secondary_id, id.
CREATE INDEX "relations_secondary_id_idx" ON "relations" ("secondary_id", "id");

-- Finds and sorts `relations` by primary_id, id.
CREATE INDEX "relations_primary_id_idx" ON "relations" ("primary_id", "id");

-- No two of `relations` have the same primary_id, secondary_id.
CREATE UNIQUE INDEX "relations_primary_id_secondary_id_key" ON "relations" ("primary_id", "secondary_id");

-- Finds and sorts `relations` by created_at (descending), id (descending).
CREATE INDEX "relations_created_at_desc_id_desc_idx" ON "relations" ("created_at" DESC, "id" DESC);

-- Finds and sorts `reports` by actor_id, id.
CREATE INDEX "reports_actor_id_idx" ON "reports" ("actor_id", "id");

-- Finds and sorts `reports` by created_at, id.
CREATE INDEX "reports_created_at_idx" ON "reports" ("created_at", "id");

-- Finds and sorts `sessions` by user_id, revoked, id.
CREATE INDEX "sessions_user_id_revoked_idx" ON "sessions" ("user_id", "revoked", "id");

-- Finds and sorts `sessions` by created_at (descending), id (descending).
CREATE INDEX "sessions_created_at_desc_id_desc_idx" ON "sessions" ("created_at" DESC, "id" DESC);

-- Finds and sorts `user_activity_logs` by user_id, created_at (descending), id (descending).
CREATE INDEX "user_activity_logs_user_id_created_at_desc_idx" ON "user_activity_logs" ("user_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `user_activity_logs` by created_at (descending), id (descending).
CREATE INDEX "user_activity_logs_created_at_desc_id_desc_idx" ON "user_activity_logs" ("created_at" DESC, "id" DESC);

-- No two of `user_settings` have the same user_id.
CREATE UNIQUE INDEX "user_settings_user_id_key" ON "user_settings" ("user_id");

-- Finds and sorts `user_settings` by created_at (descending), id (descending).
CREATE INDEX "user_settings_created_at_desc_id_desc_idx" ON "user_settings" ("created_at" DESC, "id" DESC);

-- No two of `users` have the same username.
CREATE UNIQUE INDEX "users_username_key" ON "users" ("username");

-- No two of `users` have the same email.
CREATE UNIQUE INDEX "users_email_key" ON "users" ("email");

-- No two of `users` have the same phone.
CREATE UNIQUE INDEX "users_phone_key" ON "users" ("phone");

-- Finds and sorts `users` by state, created_at (descending), id (descending).
CREATE INDEX "users_state_created_at_desc_idx" ON "users" ("state", "created_at" DESC, "id" DESC);

-- Finds and sorts `users` by created_at (descending), id (descending).
CREATE INDEX "users_created_at_desc_id_desc_idx" ON "users" ("created_at" DESC, "id" DESC);

-- Finds and sorts `users` by profile_picture_id.
CREATE INDEX "users_profile_picture_id_ref" ON "users" ("profile_picture_id");

-- Which types the fields of `admin_actions` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('admin_actions', 'id', '"uuid"'),
  ('admin_actions', 'admin_id', '"ref(users)"'),
  ('admin_actions', 'action', '"text"'),
  ('admin_actions', 'target_type', '"int"'),
  ('admin_actions', 'target_id', '"uuid"'),
  ('admin_actions', 'details', '"json"'),
  ('admin_actions', 'created_at', '"timestamp"'),
  ('admin_actions', 'updated_at', '"timestamp"'),
  ('admin_actions', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `audit_logs` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('audit_logs', 'id', '"uuid"'),
  ('audit_logs', 'actor_id', '"uuid"'),
  ('audit_logs', 'action', '"text"'),
  ('audit_logs', 'collection', '"text"'),
  ('audit_logs', 'document_id', '"uuid"'),
  ('audit_logs', 'diff', '"json"'),
  ('audit_logs', 'ip', '"ip"'),
  ('audit_logs', 'created_at', '"timestamp"'),
  ('audit_logs', 'updated_at', '"timestamp"'),
  ('audit_logs', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `comments` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('comments', 'id', '"uuid"'),
  ('comments', 'post_id', '"ref(posts)"'),
  ('comments', 'user_id', '"ref(users)"'),
  ('comments', 'content', '"text"'),
  ('comments', 'like_count', '"int"'),
  ('comments', 'created_at', '"timestamp"'),
  ('comments', 'updated_at', '"timestamp"'),
  ('comments', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `conversation_members` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('conversation_members', 'id', '"uuid"'),
  ('conversation_members', 'conversation_id', '"ref(conversations_meta)"'),
  ('conversation_members', 'user_id', '"ref(users)"'),
  ('conversation_members', 'role', '"int"'),
  ('conversation_members', 'joined_at', '"timestamp"'),
  ('conversation_members', 'unread_count', '"int"'),
  ('conversation_members', 'created_at', '"timestamp"'),
  ('conversation_members', 'updated_at', '"timestamp"'),
  ('conversation_members', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `conversations` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('conversations_meta', 'id', '"uuid"'),
  ('conversations_meta', 'type', '"int"'),
  ('conversations_meta', 'title', '"text"'),
  ('conversations_meta', 'last_message_id', '"uuid"'),
  ('conversations_meta', 'last_message_text', '"text"'),
  ('conversations_meta', 'last_message_time', '"timestamp"'),
  ('conversations_meta', 'state', '"int"'),
  ('conversations_meta', 'created_at', '"timestamp"'),
  ('conversations_meta', 'updated_at', '"timestamp"'),
  ('conversations_meta', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `feed_cache` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('feed_cache', 'id', '"uuid"'),
  ('feed_cache', 'user_id', '"ref(users)"'),
  ('feed_cache', 'items', '"json"'),
  ('feed_cache', 'created_at', '"timestamp"'),
  ('feed_cache', 'updated_at', '"timestamp"'),
  ('feed_cache', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `likes` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('likes', 'id', '"uuid"'),
  ('likes', 'target_type', '"int"'),
  ('likes', 'target_id', '"uuid"'),
  ('likes', 'user_id', '"ref(users)"'),
  ('likes', 'created_at', '"timestamp"'),
  ('likes', 'updated_at', '"timestamp"'),
  ('likes', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `media` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('media', 'id', '"uuid"'),
  ('media', 'owner_id', '"ref(users)"'),
  ('media', 'storage_path', '"text"'),
  ('media', 'mime', '"text"'),
  ('media', 'size', '"bigint"'),
  ('media', 'width', '"int"'),
  ('media', 'height', '"int"'),
  ('media', 'post_id', '"ref(posts)"'),
  ('media', 'processing_state', '"int"'),
  ('media', 'created_at', '"timestamp"'),
  ('media', 'updated_at', '"timestamp"'),
  ('media', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `media_metadata` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('media_metadata', 'id', '"uuid"'),
  ('media_metadata', 'media_id', '"ref(media)"'),
  ('media_metadata', 'labels', '"json"'),
  ('media_metadata', 'thumbnails', '"json"'),
  ('media_metadata', 'created_at', '"timestamp"'),
  ('media_metadata', 'updated_at', '"timestamp"'),
  ('media_metadata', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `messages` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('message_index', 'id', '"uuid"'),
  ('message_index', 'conversation_id', '"ref(conversations_meta)"'),
  ('message_index', 'sender_id', '"ref(users)"'),
  ('message_index', 'message_type', '"int"'),
  ('message_index', 'state', '"int"'),
  ('message_index', 'content', '"text"'),
  ('message_index', 'attachments', '"json"'),
  ('message_index', 'created_at', '"timestamp"'),
  ('message_index', 'updated_at', '"timestamp"'),
  ('message_index', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `notifications` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('notifications', 'id', '"uuid"'),
  ('notifications', 'user_id', '"ref(users)"'),
  ('notifications', 'kind', '"text"'),
  ('notifications', 'payload', '"json"'),
  ('notifications', 'read', '"bool"'),
  ('notifications', 'created_at', '"timestamp"'),
  ('notifications', 'updated_at', '"timestamp"'),
  ('notifications', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `posts` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('posts', 'id', '"uuid"'),
  ('posts', 'user_id', '"ref(users)"'),
  ('posts', 'content', '"text"'),
  ('posts', 'media_ids', '["ref(media)"]'),
  ('posts', 'meta', '"json"'),
  ('posts', 'visibility', '"int"'),
  ('posts', 'location', '"text"'),
  ('posts', 'like_count', '"int"'),
  ('posts', 'comment_count', '"int"'),
  ('posts', 'created_at', '"timestamp"'),
  ('posts', 'updated_at', '"timestamp"'),
  ('posts', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `relations` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('relations', 'id', '"uuid"'),
  ('relations', 'primary_id', '"ref(users)"'),
  ('relations', 'secondary_id', '"ref(users)"'),
  ('relations', 'state', '"int"'),
  ('relations', 'created_at', '"timestamp"'),
  ('relations', 'updated_at', '"timestamp"'),
  ('relations', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `reports` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('reports', 'id', '"uuid"'),
  ('reports', 'actor_id', '"ref(users)"'),
  ('reports', 'target_type', '"int"'),
  ('reports', 'target_id', '"uuid"'),
  ('reports', 'reason', '"text"'),
  ('reports', 'state', '"int"'),
  ('reports', 'created_at', '"timestamp"'),
  ('reports', 'updated_at', '"timestamp"'),
  ('reports', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `sessions` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('sessions', 'id', '"uuid"'),
  ('sessions', 'user_id', '"ref(users)"'),
  ('sessions', 'refresh_token_hash', '"text"'),
  ('sessions', 'device_info', '"json"'),
  ('sessions', 'ip', '["ip"]'),
  ('sessions', 'expires_at', '"timestamp"'),
  ('sessions', 'generation', '"int"'),
  ('sessions', 'refreshed_at', '"timestamp"'),
  ('sessions', 'revoked', '"bool"'),
  ('sessions', 'created_at', '"timestamp"'),
  ('sessions', 'updated_at', '"timestamp"'),
  ('sessions', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `user_activity_logs` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('user_activity_logs', 'id', '"uuid"'),
  ('user_activity_logs', 'user_id', '"uuid"'),
  ('user_activity_logs', 'event', '"text"'),
  ('user_activity_logs', 'data', '"json"'),
  ('user_activity_logs', 'created_at', '"timestamp"'),
  ('user_activity_logs', 'updated_at', '"timestamp"'),
  ('user_activity_logs', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `user_settings` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('user_settings', 'id', '"uuid"'),
  ('user_settings', 'user_id', '"ref(users)"'),
  ('user_settings', 'privacy', '{"posts":"text","messages":"text","profile":"text"}'),
  ('user_settings', 'notifications', '{"like":"bool","comment":"bool","follow":"bool","friend_request":"bool","message":"bool"}'),
  ('user_settings', 'language', '"text"'),
  ('user_settings', 'timezone', '"text"'),
  ('user_settings', 'theme', '"int"'),
  ('user_settings', 'created_at', '"timestamp"'),
  ('user_settings', 'updated_at', '"timestamp"'),
  ('user_settings', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `users` have.
INSERT INTO nubo_fields ("table", field, kind) VALUES
  ('users', 'id', '"uuid"'),
  ('users', 'username', '"text"'),
  ('users', 'email', '"email"'),
  ('users', 'email_verified', '"bool"'),
  ('users', 'phone', '"text"'),
  ('users', 'phone_verified', '"bool"'),
  ('users', 'password', '"password"'),
  ('users', 'first_name', '"text"'),
  ('users', 'last_name', '"text"'),
  ('users', 'display_name', '"text"'),
  ('users', 'birthdate', '"date"'),
  ('users', 'sex', '"int"'),
  ('users', 'bio', '"text"'),
  ('users', 'profile_picture_id', '"ref(media)"'),
  ('users', 'grade', '"int"'),
  ('users', 'location', '"text"'),
  ('users', 'school', '"text"'),
  ('users', 'works', '"text"'),
  ('users', 'badges', '["text"]'),
  ('users', 'roles', '["text"]'),
  ('users', 'state', '"int"'),
  ('users', 'login_count', '"int"'),
  ('users', 'last_login', '"timestamp"'),
  ('users', 'created_at', '"timestamp"'),
  ('users', 'updated_at', '"timestamp"'),
  ('users', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;
