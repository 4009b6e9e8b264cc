-- Takes 0004_outbox back.

-- Takes back: What others write to `users` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "auth"."users";
DROP TRIGGER IF EXISTS nubo_raised ON "auth"."users";

-- Takes back: What others write to `user_settings` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "auth"."user_settings";
DROP TRIGGER IF EXISTS nubo_raised ON "auth"."user_settings";

-- Takes back: What others write to `user_activity_logs` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "moderation"."user_activity_logs";
DROP TRIGGER IF EXISTS nubo_raised ON "moderation"."user_activity_logs";

-- Takes back: What others write to `sessions` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "auth"."sessions";
DROP TRIGGER IF EXISTS nubo_raised ON "auth"."sessions";

-- Takes back: What others write to `reports` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "moderation"."reports";
DROP TRIGGER IF EXISTS nubo_raised ON "moderation"."reports";

-- Takes back: What others write to `relations` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "auth"."relations";
DROP TRIGGER IF EXISTS nubo_raised ON "auth"."relations";

-- Takes back: What others write to `posts` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "content"."posts";
DROP TRIGGER IF EXISTS nubo_raised ON "content"."posts";

-- Takes back: What others write to `notifications` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "messaging"."notifications";
DROP TRIGGER IF EXISTS nubo_raised ON "messaging"."notifications";

-- Takes back: What others write to `messages` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "messaging"."message_index";
DROP TRIGGER IF EXISTS nubo_raised ON "messaging"."message_index";

-- Takes back: What others write to `media_metadata` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "content"."media_metadata";
DROP TRIGGER IF EXISTS nubo_raised ON "content"."media_metadata";

-- Takes back: What others write to `media` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "content"."media";
DROP TRIGGER IF EXISTS nubo_raised ON "content"."media";

-- Takes back: What others write to `likes` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "content"."likes";
DROP TRIGGER IF EXISTS nubo_raised ON "content"."likes";

-- Takes back: What others write to `feed_cache` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "content"."feed_cache";
DROP TRIGGER IF EXISTS nubo_raised ON "content"."feed_cache";

-- Takes back: What others write to `conversations` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "messaging"."conversations_meta";
DROP TRIGGER IF EXISTS nubo_raised ON "messaging"."conversations_meta";

-- Takes back: What others write to `conversation_members` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "messaging"."conversation_members";
DROP TRIGGER IF EXISTS nubo_raised ON "messaging"."conversation_members";

-- Takes back: What others write to `comments` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "content"."comments";
DROP TRIGGER IF EXISTS nubo_raised ON "content"."comments";

-- Takes back: What others write to `audit_logs` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "moderation"."audit_logs";
DROP TRIGGER IF EXISTS nubo_raised ON "moderation"."audit_logs";

-- Takes back: What others write to `admin_actions` is noted.
DROP TRIGGER IF EXISTS nubo_by_others ON "moderation"."admin_actions";
DROP TRIGGER IF EXISTS nubo_raised ON "moderation"."admin_actions";
