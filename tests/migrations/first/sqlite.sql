-- A database as the first version left it: the collections that ship, and a little of everything.
BEGIN TRANSACTION;
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
INSERT INTO "comments" VALUES('01a20d9e-33a9-712b-bb80-7f8b7663c269','01a20d9e-3309-7543-90b9-9f3f517cfc1d','01a20d9e-3004-7afd-ae18-af208c6eb6d1','Première — ☕',0,'2026-11-24T12:53:21.448Z','2026-11-24T12:53:21.448Z',1795524801449189);
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
INSERT INTO "conversations_meta" VALUES('01a20d9e-33df-7e08-b225-bc4652bfee5e',1,'Analysts',NULL,NULL,NULL,0,'2026-11-24T12:53:21.503Z','2026-11-24T12:53:21.503Z',1795524801504170);
CREATE TABLE "feed_cache" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "items" TEXT CHECK (json_valid("items")),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;
CREATE TABLE "likes" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "target_type" INTEGER NOT NULL,
  "target_id" TEXT NOT NULL,
  "user_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;
INSERT INTO "likes" VALUES('01a20d9e-33bd-7418-9fa8-a47045d322a7',0,'01a20d9e-3309-7543-90b9-9f3f517cfc1d','01a20d9e-3004-7afd-ae18-af208c6eb6d1','2026-11-24T12:53:21.469Z','2026-11-24T12:53:21.469Z',1795524801469357);
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
INSERT INTO "media" VALUES('01a20d9e-33d0-74e9-b342-de35cbc9e184','01a20d9e-3004-7afd-ae18-af208c6eb6d1',NULL,'image/png',9007199254740993,640,NULL,NULL,0,'2026-11-24T12:53:21.488Z','2026-11-24T12:53:21.488Z',1795524801488405);
CREATE TABLE "media_metadata" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "media_id" TEXT NOT NULL REFERENCES "media" ("id"),
  "labels" TEXT CHECK (json_valid("labels")),
  "thumbnails" TEXT CHECK (json_valid("thumbnails")),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;
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
CREATE TABLE nubo_fields ("table" TEXT NOT NULL, field TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY ("table", field)) STRICT, WITHOUT ROWID;
INSERT INTO "nubo_fields" VALUES('admin_actions','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('admin_actions','action','"text"');
INSERT INTO "nubo_fields" VALUES('admin_actions','admin_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('admin_actions','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('admin_actions','details','"json"');
INSERT INTO "nubo_fields" VALUES('admin_actions','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('admin_actions','target_id','"uuid"');
INSERT INTO "nubo_fields" VALUES('admin_actions','target_type','"int"');
INSERT INTO "nubo_fields" VALUES('admin_actions','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('audit_logs','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('audit_logs','action','"text"');
INSERT INTO "nubo_fields" VALUES('audit_logs','actor_id','"uuid"');
INSERT INTO "nubo_fields" VALUES('audit_logs','collection','"text"');
INSERT INTO "nubo_fields" VALUES('audit_logs','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('audit_logs','diff','"json"');
INSERT INTO "nubo_fields" VALUES('audit_logs','document_id','"uuid"');
INSERT INTO "nubo_fields" VALUES('audit_logs','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('audit_logs','ip','"ip"');
INSERT INTO "nubo_fields" VALUES('audit_logs','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('comments','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('comments','content','"text"');
INSERT INTO "nubo_fields" VALUES('comments','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('comments','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('comments','like_count','"int"');
INSERT INTO "nubo_fields" VALUES('comments','post_id','"ref(posts)"');
INSERT INTO "nubo_fields" VALUES('comments','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('comments','user_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('conversation_members','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('conversation_members','conversation_id','"ref(conversations_meta)"');
INSERT INTO "nubo_fields" VALUES('conversation_members','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('conversation_members','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('conversation_members','joined_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('conversation_members','role','"int"');
INSERT INTO "nubo_fields" VALUES('conversation_members','unread_count','"int"');
INSERT INTO "nubo_fields" VALUES('conversation_members','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('conversation_members','user_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','last_message_id','"uuid"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','last_message_text','"text"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','last_message_time','"timestamp"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','state','"int"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','title','"text"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','type','"int"');
INSERT INTO "nubo_fields" VALUES('conversations_meta','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('feed_cache','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('feed_cache','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('feed_cache','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('feed_cache','items','"json"');
INSERT INTO "nubo_fields" VALUES('feed_cache','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('feed_cache','user_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('likes','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('likes','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('likes','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('likes','target_id','"uuid"');
INSERT INTO "nubo_fields" VALUES('likes','target_type','"int"');
INSERT INTO "nubo_fields" VALUES('likes','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('likes','user_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('media','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('media','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('media','height','"int"');
INSERT INTO "nubo_fields" VALUES('media','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('media','mime','"text"');
INSERT INTO "nubo_fields" VALUES('media','owner_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('media','post_id','"ref(posts)"');
INSERT INTO "nubo_fields" VALUES('media','processing_state','"int"');
INSERT INTO "nubo_fields" VALUES('media','size','"bigint"');
INSERT INTO "nubo_fields" VALUES('media','storage_path','"text"');
INSERT INTO "nubo_fields" VALUES('media','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('media','width','"int"');
INSERT INTO "nubo_fields" VALUES('media_metadata','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('media_metadata','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('media_metadata','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('media_metadata','labels','"json"');
INSERT INTO "nubo_fields" VALUES('media_metadata','media_id','"ref(media)"');
INSERT INTO "nubo_fields" VALUES('media_metadata','thumbnails','"json"');
INSERT INTO "nubo_fields" VALUES('media_metadata','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('message_index','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('message_index','attachments','"json"');
INSERT INTO "nubo_fields" VALUES('message_index','content','"text"');
INSERT INTO "nubo_fields" VALUES('message_index','conversation_id','"ref(conversations_meta)"');
INSERT INTO "nubo_fields" VALUES('message_index','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('message_index','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('message_index','message_type','"int"');
INSERT INTO "nubo_fields" VALUES('message_index','sender_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('message_index','state','"int"');
INSERT INTO "nubo_fields" VALUES('message_index','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('notifications','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('notifications','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('notifications','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('notifications','kind','"text"');
INSERT INTO "nubo_fields" VALUES('notifications','payload','"json"');
INSERT INTO "nubo_fields" VALUES('notifications','read','"bool"');
INSERT INTO "nubo_fields" VALUES('notifications','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('notifications','user_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('posts','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('posts','comment_count','"int"');
INSERT INTO "nubo_fields" VALUES('posts','content','"text"');
INSERT INTO "nubo_fields" VALUES('posts','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('posts','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('posts','like_count','"int"');
INSERT INTO "nubo_fields" VALUES('posts','location','"text"');
INSERT INTO "nubo_fields" VALUES('posts','media_ids','["ref(media)"]');
INSERT INTO "nubo_fields" VALUES('posts','meta','"json"');
INSERT INTO "nubo_fields" VALUES('posts','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('posts','user_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('posts','visibility','"int"');
INSERT INTO "nubo_fields" VALUES('relations','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('relations','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('relations','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('relations','primary_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('relations','secondary_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('relations','state','"int"');
INSERT INTO "nubo_fields" VALUES('relations','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('reports','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('reports','actor_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('reports','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('reports','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('reports','reason','"text"');
INSERT INTO "nubo_fields" VALUES('reports','state','"int"');
INSERT INTO "nubo_fields" VALUES('reports','target_id','"uuid"');
INSERT INTO "nubo_fields" VALUES('reports','target_type','"int"');
INSERT INTO "nubo_fields" VALUES('reports','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('sessions','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('sessions','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('sessions','device_info','"json"');
INSERT INTO "nubo_fields" VALUES('sessions','expires_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('sessions','generation','"int"');
INSERT INTO "nubo_fields" VALUES('sessions','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('sessions','ip','["ip"]');
INSERT INTO "nubo_fields" VALUES('sessions','refresh_token_hash','"text"');
INSERT INTO "nubo_fields" VALUES('sessions','refreshed_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('sessions','revoked','"bool"');
INSERT INTO "nubo_fields" VALUES('sessions','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('sessions','user_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('user_activity_logs','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('user_activity_logs','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('user_activity_logs','data','"json"');
INSERT INTO "nubo_fields" VALUES('user_activity_logs','event','"text"');
INSERT INTO "nubo_fields" VALUES('user_activity_logs','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('user_activity_logs','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('user_activity_logs','user_id','"uuid"');
INSERT INTO "nubo_fields" VALUES('user_settings','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('user_settings','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('user_settings','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('user_settings','language','"text"');
INSERT INTO "nubo_fields" VALUES('user_settings','notifications','{"like":"bool","comment":"bool","follow":"bool","friend_request":"bool","message":"bool"}');
INSERT INTO "nubo_fields" VALUES('user_settings','privacy','{"posts":"text","messages":"text","profile":"text"}');
INSERT INTO "nubo_fields" VALUES('user_settings','theme','"int"');
INSERT INTO "nubo_fields" VALUES('user_settings','timezone','"text"');
INSERT INTO "nubo_fields" VALUES('user_settings','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('user_settings','user_id','"ref(users)"');
INSERT INTO "nubo_fields" VALUES('users','_rev','"bigint"');
INSERT INTO "nubo_fields" VALUES('users','badges','["text"]');
INSERT INTO "nubo_fields" VALUES('users','bio','"text"');
INSERT INTO "nubo_fields" VALUES('users','birthdate','"date"');
INSERT INTO "nubo_fields" VALUES('users','created_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('users','display_name','"text"');
INSERT INTO "nubo_fields" VALUES('users','email','"email"');
INSERT INTO "nubo_fields" VALUES('users','email_verified','"bool"');
INSERT INTO "nubo_fields" VALUES('users','first_name','"text"');
INSERT INTO "nubo_fields" VALUES('users','grade','"int"');
INSERT INTO "nubo_fields" VALUES('users','id','"uuid"');
INSERT INTO "nubo_fields" VALUES('users','last_login','"timestamp"');
INSERT INTO "nubo_fields" VALUES('users','last_name','"text"');
INSERT INTO "nubo_fields" VALUES('users','location','"text"');
INSERT INTO "nubo_fields" VALUES('users','login_count','"int"');
INSERT INTO "nubo_fields" VALUES('users','password','"password"');
INSERT INTO "nubo_fields" VALUES('users','phone','"text"');
INSERT INTO "nubo_fields" VALUES('users','phone_verified','"bool"');
INSERT INTO "nubo_fields" VALUES('users','profile_picture_id','"ref(media)"');
INSERT INTO "nubo_fields" VALUES('users','roles','["text"]');
INSERT INTO "nubo_fields" VALUES('users','school','"text"');
INSERT INTO "nubo_fields" VALUES('users','sex','"int"');
INSERT INTO "nubo_fields" VALUES('users','state','"int"');
INSERT INTO "nubo_fields" VALUES('users','updated_at','"timestamp"');
INSERT INTO "nubo_fields" VALUES('users','username','"text"');
INSERT INTO "nubo_fields" VALUES('users','works','"text"');
CREATE TABLE nubo_tombstones (collection TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, deleted_at INTEGER NOT NULL, PRIMARY KEY (collection, id)) STRICT, WITHOUT ROWID;
INSERT INTO "nubo_tombstones" VALUES('posts','01a20d9e-346c-7502-b9a2-8d2ad08d9180',1795524801752129,1795524801752129);
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
INSERT INTO "posts" VALUES('01a20d9e-3309-7543-90b9-9f3f517cfc1d','01a20d9e-3004-7afd-ae18-af208c6eb6d1','It''s the engine',NULL,'{"hashtags":["engines"]}',0,NULL,1,1,'2026-11-24T12:53:21.289Z','2026-11-24T12:53:21.469Z',1795524801469357);
CREATE TABLE "relations" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "primary_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "secondary_id" TEXT NOT NULL REFERENCES "users" ("id"),
  "state" INTEGER,
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;
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
INSERT INTO "sessions" VALUES('01a20d9e-31fe-7a72-9460-be5cd5257e46','01a20d9e-3004-7afd-ae18-af208c6eb6d1','REEYlXCE29ojVV4oA3tN34V8WDDEaFeolMG9slvGsCc','{"user_agent":"curl/7.88.1"}','["127.0.0.1"]','2026-12-24T12:53:21.022Z',0,'2026-11-24T12:53:21.022Z',0,'2026-11-24T12:53:21.022Z','2026-11-24T12:53:21.022Z',1795524801022951);
CREATE TABLE "user_activity_logs" (
  "id" TEXT PRIMARY KEY NOT NULL,
  "user_id" TEXT NOT NULL,
  "event" TEXT NOT NULL,
  "data" TEXT CHECK (json_valid("data")),
  "created_at" TEXT NOT NULL,
  "updated_at" TEXT NOT NULL,
  "_rev" INTEGER NOT NULL
) STRICT;
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
INSERT INTO "user_settings" VALUES('01a20d9e-3048-7137-b339-e551008238cd','01a20d9e-3004-7afd-ae18-af208c6eb6d1','{"posts":"public","messages":"public","profile":"public"}','{"like":true,"comment":true,"follow":true,"friend_request":true,"message":true}','en','UTC',0,'2026-11-24T12:53:20.516Z','2026-11-24T12:53:20.516Z',1795524800582565);
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
INSERT INTO "users" VALUES('01a20d9e-3004-7afd-ae18-af208c6eb6d1','ada','ada@example.org',0,NULL,0,'$argon2id$v=19$m=19456,t=2,p=1$7vuQRbFoiDfF2BYSfkR+lQ$ZKxFwgC4A4een2bo9AcG+oKw3ypcCqBjAjcTSmpaP7g','Ada','Lovelace',NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,'["user"]',1,1,'2026-11-24T12:53:21.022Z','2026-11-24T12:53:20.516Z','2026-11-24T12:53:21.022Z',1795524801022951);
CREATE INDEX nubo_tombstones_deleted_at ON nubo_tombstones (deleted_at);
CREATE INDEX "admin_actions_admin_id_idx" ON "admin_actions" ("admin_id", "id");
CREATE INDEX "admin_actions_created_at_idx" ON "admin_actions" ("created_at", "id");
CREATE INDEX "audit_logs_actor_id_idx" ON "audit_logs" ("actor_id", "id");
CREATE INDEX "audit_logs_created_at_idx" ON "audit_logs" ("created_at", "id");
CREATE INDEX "comments_post_id_created_at_desc_idx" ON "comments" ("post_id", "created_at" DESC, "id" DESC);
CREATE INDEX "comments_created_at_desc_id_desc_idx" ON "comments" ("created_at" DESC, "id" DESC);
CREATE INDEX "comments_user_id_ref" ON "comments" ("user_id");
CREATE UNIQUE INDEX "conversation_members_conversation_id_user_id_key" ON "conversation_members" ("conversation_id", "user_id");
CREATE INDEX "conversation_members_user_id_idx" ON "conversation_members" ("user_id", "id");
CREATE INDEX "conversation_members_created_at_desc_id_desc_idx" ON "conversation_members" ("created_at" DESC, "id" DESC);
CREATE INDEX "conversations_meta_last_message_id_idx" ON "conversations_meta" ("last_message_id", "id");
CREATE INDEX "conversations_meta_last_message_time_desc_idx" ON "conversations_meta" ("last_message_time" DESC, "id" DESC);
CREATE INDEX "conversations_meta_created_at_desc_id_desc_idx" ON "conversations_meta" ("created_at" DESC, "id" DESC);
CREATE INDEX "feed_cache_user_id_created_at_desc_idx" ON "feed_cache" ("user_id", "created_at" DESC, "id" DESC);
CREATE INDEX "feed_cache_created_at_desc_id_desc_idx" ON "feed_cache" ("created_at" DESC, "id" DESC);
CREATE INDEX "likes_target_type_target_id_idx" ON "likes" ("target_type", "target_id", "id");
CREATE UNIQUE INDEX "likes_target_type_target_id_user_id_key" ON "likes" ("target_type", "target_id", "user_id");
CREATE INDEX "likes_created_at_desc_id_desc_idx" ON "likes" ("created_at" DESC, "id" DESC);
CREATE INDEX "likes_user_id_ref" ON "likes" ("user_id");
CREATE INDEX "media_owner_id_idx" ON "media" ("owner_id", "id");
CREATE INDEX "media_created_at_idx" ON "media" ("created_at", "id");
CREATE INDEX "media_post_id_ref" ON "media" ("post_id");
CREATE UNIQUE INDEX "media_metadata_media_id_key" ON "media_metadata" ("media_id");
CREATE INDEX "media_metadata_created_at_desc_id_desc_idx" ON "media_metadata" ("created_at" DESC, "id" DESC);
CREATE INDEX "message_index_conversation_id_created_at_desc_idx" ON "message_index" ("conversation_id", "created_at" DESC, "id" DESC);
CREATE INDEX "message_index_sender_id_idx_b9e6494e" ON "message_index" ("sender_id", "id") WHERE ("message_index"."state" = 0);
CREATE INDEX "message_index_created_at_desc_id_desc_idx" ON "message_index" ("created_at" DESC, "id" DESC);
CREATE INDEX "notifications_user_id_created_at_desc_idx" ON "notifications" ("user_id", "created_at" DESC, "id" DESC);
CREATE INDEX "notifications_created_at_desc_id_desc_idx" ON "notifications" ("created_at" DESC, "id" DESC);
CREATE INDEX "posts_user_id_created_at_desc_idx" ON "posts" ("user_id", "created_at" DESC, "id" DESC);
CREATE INDEX "posts_created_at_desc_id_desc_idx" ON "posts" ("created_at" DESC, "id" DESC);
CREATE INDEX "relations_secondary_id_idx" ON "relations" ("secondary_id", "id");
CREATE INDEX "relations_primary_id_idx" ON "relations" ("primary_id", "id");
CREATE UNIQUE INDEX "relations_primary_id_secondary_id_key" ON "relations" ("primary_id", "secondary_id");
CREATE INDEX "relations_created_at_desc_id_desc_idx" ON "relations" ("created_at" DESC, "id" DESC);
CREATE INDEX "reports_actor_id_idx" ON "reports" ("actor_id", "id");
CREATE INDEX "reports_created_at_idx" ON "reports" ("created_at", "id");
CREATE INDEX "sessions_user_id_revoked_idx" ON "sessions" ("user_id", "revoked", "id");
CREATE INDEX "sessions_created_at_desc_id_desc_idx" ON "sessions" ("created_at" DESC, "id" DESC);
CREATE INDEX "user_activity_logs_user_id_created_at_desc_idx" ON "user_activity_logs" ("user_id", "created_at" DESC, "id" DESC);
CREATE INDEX "user_activity_logs_created_at_desc_id_desc_idx" ON "user_activity_logs" ("created_at" DESC, "id" DESC);
CREATE UNIQUE INDEX "user_settings_user_id_key" ON "user_settings" ("user_id");
CREATE INDEX "user_settings_created_at_desc_id_desc_idx" ON "user_settings" ("created_at" DESC, "id" DESC);
CREATE UNIQUE INDEX "users_username_key" ON "users" ("username");
CREATE UNIQUE INDEX "users_email_key" ON "users" ("email");
CREATE UNIQUE INDEX "users_phone_key" ON "users" ("phone");
CREATE INDEX "users_state_created_at_desc_idx" ON "users" ("state", "created_at" DESC, "id" DESC);
CREATE INDEX "users_created_at_desc_id_desc_idx" ON "users" ("created_at" DESC, "id" DESC);
CREATE INDEX "users_profile_picture_id_ref" ON "users" ("profile_picture_id");
COMMIT;
