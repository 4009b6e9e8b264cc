-- Takes 0002_by_others back.

-- Takes back: What others write to `users` is noted.
DROP TRIGGER nubo_by_others ON "auth"."users";

-- Takes back: What others write to `user_settings` is noted.
DROP TRIGGER nubo_by_others ON "auth"."user_settings";

-- Takes back: What others write to `user_activity_logs` is noted.
DROP TRIGGER nubo_by_others ON "moderation"."user_activity_logs";

-- Takes back: What others write to `sessions` is noted.
DROP TRIGGER nubo_by_others ON "auth"."sessions";

-- Takes back: What others write to `reports` is noted.
DROP TRIGGER nubo_by_others ON "moderation"."reports";

-- Takes back: What others write to `relations` is noted.
DROP TRIGGER nubo_by_others ON "auth"."relations";

-- Takes back: What others write to `posts` is noted.
DROP TRIGGER nubo_by_others ON "content"."posts";

-- Takes back: What others write to `notifications` is noted.
DROP TRIGGER nubo_by_others ON "messaging"."notifications";

-- Takes back: What others write to `messages` is noted.
DROP TRIGGER nubo_by_others ON "messaging"."message_index";

-- Takes back: What others write to `media_metadata` is noted.
DROP TRIGGER nubo_by_others ON "content"."media_metadata";

-- Takes back: What others write to `media` is noted.
DROP TRIGGER nubo_by_others ON "content"."media";

-- Takes back: What others write to `likes` is noted.
DROP TRIGGER nubo_by_others ON "content"."likes";

-- Takes back: What others write to `feed_cache` is noted.
DROP TRIGGER nubo_by_others ON "content"."feed_cache";

-- Takes back: What others write to `conversations` is noted.
DROP TRIGGER nubo_by_others ON "messaging"."conversations_meta";

-- Takes back: What others write to `conversation_members` is noted.
DROP TRIGGER nubo_by_others ON "messaging"."conversation_members";

-- Takes back: What others write to `comments` is noted.
DROP TRIGGER nubo_by_others ON "content"."comments";

-- Takes back: What others write to `audit_logs` is noted.
DROP TRIGGER nubo_by_others ON "moderation"."audit_logs";

-- Takes back: What others write to `admin_actions` is noted.
DROP TRIGGER nubo_by_others ON "moderation"."admin_actions";
