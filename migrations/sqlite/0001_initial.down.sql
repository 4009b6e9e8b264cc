-- Takes 0001_initial back.

-- Takes back: The collection `users` is new. What it holds is lost.
DROP TABLE "users";
DELETE FROM nubo_fields WHERE "table" = 'users';

-- Takes back: The collection `user_settings` is new. What it holds is lost.
DROP TABLE "user_settings";
DELETE FROM nubo_fields WHERE "table" = 'user_settings';

-- Takes back: The collection `user_activity_logs` is new. What it holds is lost.
DROP TABLE "user_activity_logs";
DELETE FROM nubo_fields WHERE "table" = 'user_activity_logs';

-- Takes back: The collection `sessions` is new. What it holds is lost.
DROP TABLE "sessions";
DELETE FROM nubo_fields WHERE "table" = 'sessions';

-- Takes back: The collection `reports` is new. What it holds is lost.
DROP TABLE "reports";
DELETE FROM nubo_fields WHERE "table" = 'reports';

-- Takes back: The collection `relations` is new. What it holds is lost.
DROP TABLE "relations";
DELETE FROM nubo_fields WHERE "table" = 'relations';

-- Takes back: The collection `posts` is new. What it holds is lost.
DROP TABLE "posts";
DELETE FROM nubo_fields WHERE "table" = 'posts';

-- Takes back: The collection `notifications` is new. What it holds is lost.
DROP TABLE "notifications";
DELETE FROM nubo_fields WHERE "table" = 'notifications';

-- Takes back: The collection `messages` is new. What it holds is lost.
DROP TABLE "message_index";
DELETE FROM nubo_fields WHERE "table" = 'message_index';

-- Takes back: The collection `media_metadata` is new. What it holds is lost.
DROP TABLE "media_metadata";
DELETE FROM nubo_fields WHERE "table" = 'media_metadata';

-- Takes back: The collection `media` is new. What it holds is lost.
DROP TABLE "media";
DELETE FROM nubo_fields WHERE "table" = 'media';

-- Takes back: The collection `likes` is new. What it holds is lost.
DROP TABLE "likes";
DELETE FROM nubo_fields WHERE "table" = 'likes';

-- Takes back: The collection `feed_cache` is new. What it holds is lost.
DROP TABLE "feed_cache";
DELETE FROM nubo_fields WHERE "table" = 'feed_cache';

-- Takes back: The collection `conversations` is new. What it holds is lost.
DROP TABLE "conversations_meta";
DELETE FROM nubo_fields WHERE "table" = 'conversations_meta';

-- Takes back: The collection `conversation_members` is new. What it holds is lost.
DROP TABLE "conversation_members";
DELETE FROM nubo_fields WHERE "table" = 'conversation_members';

-- Takes back: The collection `comments` is new. What it holds is lost.
DROP TABLE "comments";
DELETE FROM nubo_fields WHERE "table" = 'comments';

-- Takes back: The collection `audit_logs` is new. What it holds is lost.
DROP TABLE "audit_logs";
DELETE FROM nubo_fields WHERE "table" = 'audit_logs';

-- Takes back: The collection `admin_actions` is new. What it holds is lost.
DROP TABLE "admin_actions";
DELETE FROM nubo_fields WHERE "table" = 'admin_actions';
