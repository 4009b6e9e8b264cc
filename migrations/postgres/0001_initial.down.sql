-- Takes 0001_initial back.

-- Takes back: `users.profile_picture_id` refers to documents of `media` that exist.
ALTER TABLE "auth"."users" DROP CONSTRAINT "users_profile_picture_id_fkey";

-- Takes back: `user_settings.user_id` refers to documents of `users` that exist.
ALTER TABLE "auth"."user_settings" DROP CONSTRAINT "user_settings_user_id_fkey";

-- Takes back: `sessions.user_id` refers to documents of `users` that exist.
ALTER TABLE "auth"."sessions" DROP CONSTRAINT "sessions_user_id_fkey";

-- Takes back: `reports.actor_id` refers to documents of `users` that exist.
ALTER TABLE "moderation"."reports" DROP CONSTRAINT "reports_actor_id_fkey";

-- Takes back: `relations.secondary_id` refers to documents of `users` that exist.
ALTER TABLE "auth"."relations" DROP CONSTRAINT "relations_secondary_id_fkey";

-- Takes back: `relations.primary_id` refers to documents of `users` that exist.
ALTER TABLE "auth"."relations" DROP CONSTRAINT "relations_primary_id_fkey";

-- Takes back: `posts.user_id` refers to documents of `users` that exist.
ALTER TABLE "content"."posts" DROP CONSTRAINT "posts_user_id_fkey";

-- Takes back: `notifications.user_id` refers to documents of `users` that exist.
ALTER TABLE "messaging"."notifications" DROP CONSTRAINT "notifications_user_id_fkey";

-- Takes back: `messages.sender_id` refers to documents of `users` that exist.
ALTER TABLE "messaging"."message_index" DROP CONSTRAINT "message_index_sender_id_fkey";

-- Takes back: `messages.conversation_id` refers to documents of `conversations_meta` that exist.
ALTER TABLE "messaging"."message_index" DROP CONSTRAINT "message_index_conversation_id_fkey";

-- Takes back: `media_metadata.media_id` refers to documents of `media` that exist.
ALTER TABLE "content"."media_metadata" DROP CONSTRAINT "media_metadata_media_id_fkey";

-- Takes back: `media.post_id` refers to documents of `posts` that exist.
ALTER TABLE "content"."media" DROP CONSTRAINT "media_post_id_fkey";

-- Takes back: `media.owner_id` refers to documents of `users` that exist.
ALTER TABLE "content"."media" DROP CONSTRAINT "media_owner_id_fkey";

-- Takes back: `likes.user_id` refers to documents of `users` that exist.
ALTER TABLE "content"."likes" DROP CONSTRAINT "likes_user_id_fkey";

-- Takes back: `feed_cache.user_id` refers to documents of `users` that exist.
ALTER TABLE "content"."feed_cache" DROP CONSTRAINT "feed_cache_user_id_fkey";

-- Takes back: `conversation_members.user_id` refers to documents of `users` that exist.
ALTER TABLE "messaging"."conversation_members" DROP CONSTRAINT "conversation_members_user_id_fkey";

-- Takes back: `conversation_members.conversation_id` refers to documents of `conversations_meta`
-- that exist.
ALTER TABLE "messaging"."conversation_members" DROP CONSTRAINT "conversation_members_conversation_id_fkey";

-- Takes back: `comments.user_id` refers to documents of `users` that exist.
ALTER TABLE "content"."comments" DROP CONSTRAINT "comments_user_id_fkey";

-- Takes back: `comments.post_id` refers to documents of `posts` that exist.
ALTER TABLE "content"."comments" DROP CONSTRAINT "comments_post_id_fkey";

-- Takes back: `admin_actions.admin_id` refers to documents of `users` that exist.
ALTER TABLE "moderation"."admin_actions" DROP CONSTRAINT "admin_actions_admin_id_fkey";

-- Takes back: The collection `users` is new. What it holds is lost.
DROP TABLE "auth"."users";
DELETE FROM nubo.fields WHERE "table" = 'users';

-- Takes back: The collection `user_settings` is new. What it holds is lost.
DROP TABLE "auth"."user_settings";
DELETE FROM nubo.fields WHERE "table" = 'user_settings';

-- Takes back: The collection `user_activity_logs` is new. What it holds is lost.
DROP TABLE "moderation"."user_activity_logs";
DELETE FROM nubo.fields WHERE "table" = 'user_activity_logs';

-- Takes back: The collection `sessions` is new. What it holds is lost.
DROP TABLE "auth"."sessions";
DELETE FROM nubo.fields WHERE "table" = 'sessions';

-- Takes back: The collection `reports` is new. What it holds is lost.
DROP TABLE "moderation"."reports";
DELETE FROM nubo.fields WHERE "table" = 'reports';

-- Takes back: The collection `relations` is new. What it holds is lost.
DROP TABLE "auth"."relations";
DELETE FROM nubo.fields WHERE "table" = 'relations';

-- Takes back: The collection `posts` is new. What it holds is lost.
DROP TABLE "content"."posts";
DELETE FROM nubo.fields WHERE "table" = 'posts';

-- Takes back: The collection `notifications` is new. What it holds is lost.
DROP TABLE "messaging"."notifications";
DELETE FROM nubo.fields WHERE "table" = 'notifications';

-- Takes back: The collection `messages` is new. What it holds is lost.
DROP TABLE "messaging"."message_index";
DELETE FROM nubo.fields WHERE "table" = 'message_index';

-- Takes back: The collection `media_metadata` is new. What it holds is lost.
DROP TABLE "content"."media_metadata";
DELETE FROM nubo.fields WHERE "table" = 'media_metadata';

-- Takes back: The collection `media` is new. What it holds is lost.
DROP TABLE "content"."media";
DELETE FROM nubo.fields WHERE "table" = 'media';

-- Takes back: The collection `likes` is new. What it holds is lost.
DROP TABLE "content"."likes";
DELETE FROM nubo.fields WHERE "table" = 'likes';

-- Takes back: The collection `feed_cache` is new. What it holds is lost.
DROP TABLE "content"."feed_cache";
DELETE FROM nubo.fields WHERE "table" = 'feed_cache';

-- Takes back: The collection `conversations` is new. What it holds is lost.
DROP TABLE "messaging"."conversations_meta";
DELETE FROM nubo.fields WHERE "table" = 'conversations_meta';

-- Takes back: The collection `conversation_members` is new. What it holds is lost.
DROP TABLE "messaging"."conversation_members";
DELETE FROM nubo.fields WHERE "table" = 'conversation_members';

-- Takes back: The collection `comments` is new. What it holds is lost.
DROP TABLE "content"."comments";
DELETE FROM nubo.fields WHERE "table" = 'comments';

-- Takes back: The collection `audit_logs` is new. What it holds is lost.
DROP TABLE "moderation"."audit_logs";
DELETE FROM nubo.fields WHERE "table" = 'audit_logs';

-- Takes back: The collection `admin_actions` is new. What it holds is lost.
DROP TABLE "moderation"."admin_actions";
DELETE FROM nubo.fields WHERE "table" = 'admin_actions';
