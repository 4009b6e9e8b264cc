-- 0001_initial: planned by `nubo migrate plan`.
-- Read it, change it where you know better, and apply it with `nubo migrate up`, which puts it
-- into one transaction. Once it has been applied it must stay as it is.

-- A schema for the domain `auth`.
CREATE SCHEMA IF NOT EXISTS "auth";

-- A schema for the domain `content`.
CREATE SCHEMA IF NOT EXISTS "content";

-- A schema for the domain `messaging`.
CREATE SCHEMA IF NOT EXISTS "messaging";

-- A schema for the domain `moderation`.
CREATE SCHEMA IF NOT EXISTS "moderation";

-- A schema for the domain `nubo`.
CREATE SCHEMA IF NOT EXISTS "nubo";

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

-- The collection `admin_actions` is new.
CREATE TABLE "moderation"."admin_actions" (
  "id" uuid NOT NULL,
  "admin_id" uuid NOT NULL,
  "action" text COLLATE "C" NOT NULL,
  "target_type" integer,
  "target_id" uuid,
  "details" jsonb,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "admin_actions_pkey" PRIMARY KEY ("id")
);

-- The collection `audit_logs` is new.
CREATE TABLE "moderation"."audit_logs" (
  "id" uuid NOT NULL,
  "actor_id" uuid,
  "action" text COLLATE "C" NOT NULL,
  "collection" text COLLATE "C",
  "document_id" uuid,
  "diff" jsonb,
  "ip" inet,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "audit_logs_pkey" PRIMARY KEY ("id")
);

-- The collection `comments` is new.
CREATE TABLE "content"."comments" (
  "id" uuid NOT NULL,
  "post_id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "content" text COLLATE "C" NOT NULL,
  "like_count" integer,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "comments_pkey" PRIMARY KEY ("id")
);

-- The collection `conversation_members` is new.
CREATE TABLE "messaging"."conversation_members" (
  "id" uuid NOT NULL,
  "conversation_id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "role" integer,
  "joined_at" timestamp(3) with time zone,
  "unread_count" integer,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "conversation_members_pkey" PRIMARY KEY ("id")
);

-- The collection `conversations` is new.
CREATE TABLE "messaging"."conversations_meta" (
  "id" uuid NOT NULL,
  "type" integer,
  "title" text COLLATE "C",
  "last_message_id" uuid,
  "last_message_text" text COLLATE "C",
  "last_message_time" timestamp(3) with time zone,
  "state" integer,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "conversations_meta_pkey" PRIMARY KEY ("id")
);

-- The collection `feed_cache` is new.
CREATE TABLE "content"."feed_cache" (
  "id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "items" jsonb,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "feed_cache_pkey" PRIMARY KEY ("id")
);

-- The collection `likes` is new.
CREATE TABLE "content"."likes" (
  "id" uuid NOT NULL,
  "target_type" integer NOT NULL,
  "target_id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "likes_pkey" PRIMARY KEY ("id")
);

-- The collection `media` is new.
CREATE TABLE "content"."media" (
  "id" uuid NOT NULL,
  "owner_id" uuid NOT NULL,
  "storage_path" text COLLATE "C",
  "mime" text COLLATE "C",
  "size" bigint,
  "width" integer,
  "height" integer,
  "post_id" uuid,
  "processing_state" integer,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "media_pkey" PRIMARY KEY ("id")
);

-- The collection `media_metadata` is new.
CREATE TABLE "content"."media_metadata" (
  "id" uuid NOT NULL,
  "media_id" uuid NOT NULL,
  "labels" jsonb,
  "thumbnails" jsonb,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "media_metadata_pkey" PRIMARY KEY ("id")
);

-- The collection `messages` is new.
CREATE TABLE "messaging"."message_index" (
  "id" uuid NOT NULL,
  "conversation_id" uuid NOT NULL,
  "sender_id" uuid NOT NULL,
  "message_type" integer,
  "state" integer,
  "content" text COLLATE "C",
  "attachments" jsonb,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "message_index_pkey" PRIMARY KEY ("id")
);

-- The collection `notifications` is new.
CREATE TABLE "messaging"."notifications" (
  "id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "kind" text COLLATE "C" NOT NULL,
  "payload" jsonb,
  "read" boolean,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "notifications_pkey" PRIMARY KEY ("id")
);

-- The collection `posts` is new.
CREATE TABLE "content"."posts" (
  "id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "content" text COLLATE "C",
  "media_ids" uuid[],
  "meta" jsonb,
  "visibility" integer,
  "location" text COLLATE "C",
  "like_count" integer,
  "comment_count" integer,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "posts_pkey" PRIMARY KEY ("id")
);

-- The collection `relations` is new.
CREATE TABLE "auth"."relations" (
  "id" uuid NOT NULL,
  "primary_id" uuid NOT NULL,
  "secondary_id" uuid NOT NULL,
  "state" integer,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "relations_pkey" PRIMARY KEY ("id")
);

-- The collection `reports` is new.
CREATE TABLE "moderation"."reports" (
  "id" uuid NOT NULL,
  "actor_id" uuid NOT NULL,
  "target_type" integer NOT NULL,
  "target_id" uuid NOT NULL,
  "reason" text COLLATE "C",
  "state" integer,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "reports_pkey" PRIMARY KEY ("id")
);

-- The collection `sessions` is new.
CREATE TABLE "auth"."sessions" (
  "id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "refresh_token_hash" text COLLATE "C" NOT NULL,
  "device_info" jsonb,
  "ip" inet[],
  "expires_at" timestamp(3) with time zone NOT NULL,
  "generation" integer,
  "refreshed_at" timestamp(3) with time zone,
  "revoked" boolean,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "sessions_pkey" PRIMARY KEY ("id")
);

-- The collection `user_activity_logs` is new.
CREATE TABLE "moderation"."user_activity_logs" (
  "id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "event" text COLLATE "C" NOT NULL,
  "data" jsonb,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "user_activity_logs_pkey" PRIMARY KEY ("id")
);

-- The collection `user_settings` is new.
CREATE TABLE "auth"."user_settings" (
  "id" uuid NOT NULL,
  "user_id" uuid NOT NULL,
  "privacy" jsonb,
  "notifications" jsonb,
  "language" text COLLATE "C",
  "timezone" text COLLATE "C",
  "theme" integer,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "user_settings_pkey" PRIMARY KEY ("id")
);

-- The collection `users` is new.
CREATE TABLE "auth"."users" (
  "id" uuid NOT NULL,
  "username" text COLLATE "C" NOT NULL,
  "email" text COLLATE "C" NOT NULL,
  "email_verified" boolean,
  "phone" text COLLATE "C",
  "phone_verified" boolean,
  "password_hash" text COLLATE "C" NOT NULL,
  "first_name" text COLLATE "C" NOT NULL,
  "last_name" text COLLATE "C" NOT NULL,
  "display_name" text COLLATE "C",
  "birthdate" date,
  "sex" integer,
  "bio" text COLLATE "C",
  "profile_picture_id" uuid,
  "grade" integer,
  "location" text COLLATE "C",
  "school" text COLLATE "C",
  "works" text COLLATE "C",
  "badges" text[] COLLATE "C",
  "roles" text[] COLLATE "C",
  "state" integer,
  "login_count" integer,
  "last_login" timestamp(3) with time zone,
  "created_at" timestamp(3) with time zone NOT NULL,
  "updated_at" timestamp(3) with time zone NOT NULL,
  "_rev" bigint NOT NULL,
  CONSTRAINT "users_pkey" PRIMARY KEY ("id")
);

-- Finds and sorts `admin_actions` by admin_id, id.
CREATE INDEX "admin_actions_admin_id_idx" ON "moderation"."admin_actions" ("admin_id", "id");

-- Finds and sorts `admin_actions` by created_at, id.
CREATE INDEX "admin_actions_created_at_idx" ON "moderation"."admin_actions" ("created_at", "id");

-- Finds and sorts `audit_logs` by actor_id, id.
CREATE INDEX "audit_logs_actor_id_idx" ON "moderation"."audit_logs" ("actor_id" NULLS FIRST, "id");

-- Finds and sorts `audit_logs` by created_at, id.
CREATE INDEX "audit_logs_created_at_idx" ON "moderation"."audit_logs" ("created_at", "id");

-- Finds and sorts `comments` by post_id, created_at (descending), id (descending).
CREATE INDEX "comments_post_id_created_at_desc_idx" ON "content"."comments" ("post_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `comments` by created_at (descending), id (descending).
CREATE INDEX "comments_created_at_desc_id_desc_idx" ON "content"."comments" ("created_at" DESC, "id" DESC);

-- Finds and sorts `comments` by user_id.
CREATE INDEX "comments_user_id_ref" ON "content"."comments" ("user_id");

-- No two of `conversation_members` have the same conversation_id, user_id.
CREATE UNIQUE INDEX "conversation_members_conversation_id_user_id_key" ON "messaging"."conversation_members" ("conversation_id", "user_id");

-- Finds and sorts `conversation_members` by user_id, id.
CREATE INDEX "conversation_members_user_id_idx" ON "messaging"."conversation_members" ("user_id", "id");

-- Finds and sorts `conversation_members` by created_at (descending), id (descending).
CREATE INDEX "conversation_members_created_at_desc_id_desc_idx" ON "messaging"."conversation_members" ("created_at" DESC, "id" DESC);

-- Finds and sorts `conversations` by last_message_id, id.
CREATE INDEX "conversations_meta_last_message_id_idx" ON "messaging"."conversations_meta" ("last_message_id" NULLS FIRST, "id");

-- Finds and sorts `conversations` by last_message_time (descending), id (descending).
CREATE INDEX "conversations_meta_last_message_time_desc_idx" ON "messaging"."conversations_meta" ("last_message_time" DESC NULLS LAST, "id" DESC);

-- Finds and sorts `conversations` by created_at (descending), id (descending).
CREATE INDEX "conversations_meta_created_at_desc_id_desc_idx" ON "messaging"."conversations_meta" ("created_at" DESC, "id" DESC);

-- Finds and sorts `feed_cache` by user_id, created_at (descending), id (descending).
CREATE INDEX "feed_cache_user_id_created_at_desc_idx" ON "content"."feed_cache" ("user_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `feed_cache` by created_at (descending), id (descending).
CREATE INDEX "feed_cache_created_at_desc_id_desc_idx" ON "content"."feed_cache" ("created_at" DESC, "id" DESC);

-- Finds and sorts `likes` by target_type, target_id, id.
CREATE INDEX "likes_target_type_target_id_idx" ON "content"."likes" ("target_type", "target_id", "id");

-- No two of `likes` have the same target_type, target_id, user_id.
CREATE UNIQUE INDEX "likes_target_type_target_id_user_id_key" ON "content"."likes" ("target_type", "target_id", "user_id");

-- Finds and sorts `likes` by created_at (descending), id (descending).
CREATE INDEX "likes_created_at_desc_id_desc_idx" ON "content"."likes" ("created_at" DESC, "id" DESC);

-- Finds and sorts `likes` by user_id.
CREATE INDEX "likes_user_id_ref" ON "content"."likes" ("user_id");

-- Finds and sorts `media` by owner_id, id.
CREATE INDEX "media_owner_id_idx" ON "content"."media" ("owner_id", "id");

-- Finds and sorts `media` by created_at, id.
CREATE INDEX "media_created_at_idx" ON "content"."media" ("created_at", "id");

-- Finds and sorts `media` by post_id.
CREATE INDEX "media_post_id_ref" ON "content"."media" ("post_id" NULLS FIRST);

-- No two of `media_metadata` have the same media_id.
CREATE UNIQUE INDEX "media_metadata_media_id_key" ON "content"."media_metadata" ("media_id");

-- Finds and sorts `media_metadata` by created_at (descending), id (descending).
CREATE INDEX "media_metadata_created_at_desc_id_desc_idx" ON "content"."media_metadata" ("created_at" DESC, "id" DESC);

-- Finds and sorts `messages` by conversation_id, created_at (descending), id (descending).
CREATE INDEX "message_index_conversation_id_created_at_desc_idx" ON "messaging"."message_index" ("conversation_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `messages` by sender_id, id.
CREATE INDEX "message_index_sender_id_idx_199f0669" ON "messaging"."message_index" ("sender_id", "id") WHERE ("messaging"."message_index"."state" = '0'::integer);

-- Finds and sorts `messages` by created_at (descending), id (descending).
CREATE INDEX "message_index_created_at_desc_id_desc_idx" ON "messaging"."message_index" ("created_at" DESC, "id" DESC);

-- Finds and sorts `notifications` by user_id, created_at (descending), id (descending).
CREATE INDEX "notifications_user_id_created_at_desc_idx" ON "messaging"."notifications" ("user_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `notifications` by created_at (descending), id (descending).
CREATE INDEX "notifications_created_at_desc_id_desc_idx" ON "messaging"."notifications" ("created_at" DESC, "id" DESC);

-- Finds and sorts `posts` by user_id, created_at (descending), id (descending).
CREATE INDEX "posts_user_id_created_at_desc_idx" ON "content"."posts" ("user_id", "created_at" DESC, "id" DESC);

-- Finds `posts` by what meta contains.
CREATE INDEX "posts_meta_gin" ON "content"."posts" USING gin ("meta");

-- Finds and sorts `posts` by created_at (descending), id (descending).
CREATE INDEX "posts_created_at_desc_id_desc_idx" ON "content"."posts" ("created_at" DESC, "id" DESC);

-- Finds and sorts `relations` by secondary_id, id.
CREATE INDEX "relations_secondary_id_idx" ON "auth"."relations" ("secondary_id", "id");

-- Finds and sorts `relations` by primary_id, id.
CREATE INDEX "relations_primary_id_idx" ON "auth"."relations" ("primary_id", "id");

-- No two of `relations` have the same primary_id, secondary_id.
CREATE UNIQUE INDEX "relations_primary_id_secondary_id_key" ON "auth"."relations" ("primary_id", "secondary_id");

-- Finds and sorts `relations` by created_at (descending), id (descending).
CREATE INDEX "relations_created_at_desc_id_desc_idx" ON "auth"."relations" ("created_at" DESC, "id" DESC);

-- Finds and sorts `reports` by actor_id, id.
CREATE INDEX "reports_actor_id_idx" ON "moderation"."reports" ("actor_id", "id");

-- Finds and sorts `reports` by created_at, id.
CREATE INDEX "reports_created_at_idx" ON "moderation"."reports" ("created_at", "id");

-- Finds and sorts `sessions` by user_id, revoked, id.
CREATE INDEX "sessions_user_id_revoked_idx" ON "auth"."sessions" ("user_id", "revoked" NULLS FIRST, "id");

-- Finds and sorts `sessions` by created_at (descending), id (descending).
CREATE INDEX "sessions_created_at_desc_id_desc_idx" ON "auth"."sessions" ("created_at" DESC, "id" DESC);

-- Finds and sorts `user_activity_logs` by user_id, created_at (descending), id (descending).
CREATE INDEX "user_activity_logs_user_id_created_at_desc_idx" ON "moderation"."user_activity_logs" ("user_id", "created_at" DESC, "id" DESC);

-- Finds and sorts `user_activity_logs` by created_at (descending), id (descending).
CREATE INDEX "user_activity_logs_created_at_desc_id_desc_idx" ON "moderation"."user_activity_logs" ("created_at" DESC, "id" DESC);

-- No two of `user_settings` have the same user_id.
CREATE UNIQUE INDEX "user_settings_user_id_key" ON "auth"."user_settings" ("user_id");

-- Finds and sorts `user_settings` by created_at (descending), id (descending).
CREATE INDEX "user_settings_created_at_desc_id_desc_idx" ON "auth"."user_settings" ("created_at" DESC, "id" DESC);

-- No two of `users` have the same username.
CREATE UNIQUE INDEX "users_username_key" ON "auth"."users" ("username");

-- No two of `users` have the same email.
CREATE UNIQUE INDEX "users_email_key" ON "auth"."users" ("email");

-- No two of `users` have the same phone.
CREATE UNIQUE INDEX "users_phone_key" ON "auth"."users" ("phone" NULLS FIRST);

-- Finds and sorts `users` by state, created_at (descending), id (descending).
CREATE INDEX "users_state_created_at_desc_idx" ON "auth"."users" ("state" NULLS FIRST, "created_at" DESC, "id" DESC);

-- Finds and sorts `users` by created_at (descending), id (descending).
CREATE INDEX "users_created_at_desc_id_desc_idx" ON "auth"."users" ("created_at" DESC, "id" DESC);

-- Finds and sorts `users` by profile_picture_id.
CREATE INDEX "users_profile_picture_id_ref" ON "auth"."users" ("profile_picture_id" NULLS FIRST);

-- `admin_actions.admin_id` refers to documents of `users` that exist.
ALTER TABLE "moderation"."admin_actions" ADD CONSTRAINT "admin_actions_admin_id_fkey" FOREIGN KEY ("admin_id") REFERENCES "auth"."users" ("id");

-- `comments.post_id` refers to documents of `posts` that exist.
ALTER TABLE "content"."comments" ADD CONSTRAINT "comments_post_id_fkey" FOREIGN KEY ("post_id") REFERENCES "content"."posts" ("id");

-- `comments.user_id` refers to documents of `users` that exist.
ALTER TABLE "content"."comments" ADD CONSTRAINT "comments_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "auth"."users" ("id");

-- `conversation_members.conversation_id` refers to documents of `conversations_meta` that exist.
ALTER TABLE "messaging"."conversation_members" ADD CONSTRAINT "conversation_members_conversation_id_fkey" FOREIGN KEY ("conversation_id") REFERENCES "messaging"."conversations_meta" ("id");

-- `conversation_members.user_id` refers to documents of `users` that exist.
ALTER TABLE "messaging"."conversation_members" ADD CONSTRAINT "conversation_members_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "auth"."users" ("id");

-- `feed_cache.user_id` refers to documents of `users` that exist.
ALTER TABLE "content"."feed_cache" ADD CONSTRAINT "feed_cache_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "auth"."users" ("id");

-- `likes.user_id` refers to documents of `users` that exist.
ALTER TABLE "content"."likes" ADD CONSTRAINT "likes_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "auth"."users" ("id");

-- `media.owner_id` refers to documents of `users` that exist.
ALTER TABLE "content"."media" ADD CONSTRAINT "media_owner_id_fkey" FOREIGN KEY ("owner_id") REFERENCES "auth"."users" ("id");

-- `media.post_id` refers to documents of `posts` that exist.
ALTER TABLE "content"."media" ADD CONSTRAINT "media_post_id_fkey" FOREIGN KEY ("post_id") REFERENCES "content"."posts" ("id");

-- `media_metadata.media_id` refers to documents of `media` that exist.
ALTER TABLE "content"."media_metadata" ADD CONSTRAINT "media_metadata_media_id_fkey" FOREIGN KEY ("media_id") REFERENCES "content"."media" ("id");

-- `messages.conversation_id` refers to documents of `conversations_meta` that exist.
ALTER TABLE "messaging"."message_index" ADD CONSTRAINT "message_index_conversation_id_fkey" FOREIGN KEY ("conversation_id") REFERENCES "messaging"."conversations_meta" ("id");

-- `messages.sender_id` refers to documents of `users` that exist.
ALTER TABLE "messaging"."message_index" ADD CONSTRAINT "message_index_sender_id_fkey" FOREIGN KEY ("sender_id") REFERENCES "auth"."users" ("id");

-- `notifications.user_id` refers to documents of `users` that exist.
ALTER TABLE "messaging"."notifications" ADD CONSTRAINT "notifications_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "auth"."users" ("id");

-- `posts.user_id` refers to documents of `users` that exist.
ALTER TABLE "content"."posts" ADD CONSTRAINT "posts_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "auth"."users" ("id");

-- `relations.primary_id` refers to documents of `users` that exist.
ALTER TABLE "auth"."relations" ADD CONSTRAINT "relations_primary_id_fkey" FOREIGN KEY ("primary_id") REFERENCES "auth"."users" ("id");

-- `relations.secondary_id` refers to documents of `users` that exist.
ALTER TABLE "auth"."relations" ADD CONSTRAINT "relations_secondary_id_fkey" FOREIGN KEY ("secondary_id") REFERENCES "auth"."users" ("id");

-- `reports.actor_id` refers to documents of `users` that exist.
ALTER TABLE "moderation"."reports" ADD CONSTRAINT "reports_actor_id_fkey" FOREIGN KEY ("actor_id") REFERENCES "auth"."users" ("id");

-- `sessions.user_id` refers to documents of `users` that exist.
ALTER TABLE "auth"."sessions" ADD CONSTRAINT "sessions_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "auth"."users" ("id");

-- `user_settings.user_id` refers to documents of `users` that exist.
ALTER TABLE "auth"."user_settings" ADD CONSTRAINT "user_settings_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "auth"."users" ("id");

-- `users.profile_picture_id` refers to documents of `media` that exist.
ALTER TABLE "auth"."users" ADD CONSTRAINT "users_profile_picture_id_fkey" FOREIGN KEY ("profile_picture_id") REFERENCES "content"."media" ("id");

-- Which types the fields of `admin_actions` have.
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
  ('feed_cache', 'id', '"uuid"'),
  ('feed_cache', 'user_id', '"ref(users)"'),
  ('feed_cache', 'items', '"json"'),
  ('feed_cache', 'created_at', '"timestamp"'),
  ('feed_cache', 'updated_at', '"timestamp"'),
  ('feed_cache', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `likes` have.
INSERT INTO nubo.fields ("table", field, kind) VALUES
  ('likes', 'id', '"uuid"'),
  ('likes', 'target_type', '"int"'),
  ('likes', 'target_id', '"uuid"'),
  ('likes', 'user_id', '"ref(users)"'),
  ('likes', 'created_at', '"timestamp"'),
  ('likes', 'updated_at', '"timestamp"'),
  ('likes', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `media` have.
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
  ('media_metadata', 'id', '"uuid"'),
  ('media_metadata', 'media_id', '"ref(media)"'),
  ('media_metadata', 'labels', '"json"'),
  ('media_metadata', 'thumbnails', '"json"'),
  ('media_metadata', 'created_at', '"timestamp"'),
  ('media_metadata', 'updated_at', '"timestamp"'),
  ('media_metadata', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `messages` have.
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
  ('relations', 'id', '"uuid"'),
  ('relations', 'primary_id', '"ref(users)"'),
  ('relations', 'secondary_id', '"ref(users)"'),
  ('relations', 'state', '"int"'),
  ('relations', 'created_at', '"timestamp"'),
  ('relations', 'updated_at', '"timestamp"'),
  ('relations', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `reports` have.
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
  ('user_activity_logs', 'id', '"uuid"'),
  ('user_activity_logs', 'user_id', '"uuid"'),
  ('user_activity_logs', 'event', '"text"'),
  ('user_activity_logs', 'data', '"json"'),
  ('user_activity_logs', 'created_at', '"timestamp"'),
  ('user_activity_logs', 'updated_at', '"timestamp"'),
  ('user_activity_logs', '_rev', '"bigint"')
  ON CONFLICT ("table", field) DO UPDATE SET kind = excluded.kind;

-- Which types the fields of `user_settings` have.
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
INSERT INTO nubo.fields ("table", field, kind) VALUES
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
