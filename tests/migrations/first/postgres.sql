-- A database as the first version left it: the collections that ship, and a little of everything.
--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: auth; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA auth;


--
-- Name: content; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA content;


--
-- Name: messaging; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA messaging;


--
-- Name: moderation; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA moderation;


--
-- Name: nubo; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA nubo;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: relations; Type: TABLE; Schema: auth; Owner: -
--

CREATE TABLE auth.relations (
    id uuid NOT NULL,
    primary_id uuid NOT NULL,
    secondary_id uuid NOT NULL,
    state integer,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: sessions; Type: TABLE; Schema: auth; Owner: -
--

CREATE TABLE auth.sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    refresh_token_hash text NOT NULL COLLATE pg_catalog."C",
    device_info jsonb,
    ip inet[],
    expires_at timestamp(3) with time zone NOT NULL,
    generation integer,
    refreshed_at timestamp(3) with time zone,
    revoked boolean,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: user_settings; Type: TABLE; Schema: auth; Owner: -
--

CREATE TABLE auth.user_settings (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    privacy jsonb,
    notifications jsonb,
    language text COLLATE pg_catalog."C",
    timezone text COLLATE pg_catalog."C",
    theme integer,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: users; Type: TABLE; Schema: auth; Owner: -
--

CREATE TABLE auth.users (
    id uuid NOT NULL,
    username text NOT NULL COLLATE pg_catalog."C",
    email text NOT NULL COLLATE pg_catalog."C",
    email_verified boolean,
    phone text COLLATE pg_catalog."C",
    phone_verified boolean,
    password_hash text NOT NULL COLLATE pg_catalog."C",
    first_name text NOT NULL COLLATE pg_catalog."C",
    last_name text NOT NULL COLLATE pg_catalog."C",
    display_name text COLLATE pg_catalog."C",
    birthdate date,
    sex integer,
    bio text COLLATE pg_catalog."C",
    profile_picture_id uuid,
    grade integer,
    location text COLLATE pg_catalog."C",
    school text COLLATE pg_catalog."C",
    works text COLLATE pg_catalog."C",
    badges text[] COLLATE pg_catalog."C",
    roles text[] COLLATE pg_catalog."C",
    state integer,
    login_count integer,
    last_login timestamp(3) with time zone,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: comments; Type: TABLE; Schema: content; Owner: -
--

CREATE TABLE content.comments (
    id uuid NOT NULL,
    post_id uuid NOT NULL,
    user_id uuid NOT NULL,
    content text NOT NULL COLLATE pg_catalog."C",
    like_count integer,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: feed_cache; Type: TABLE; Schema: content; Owner: -
--

CREATE TABLE content.feed_cache (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    items jsonb,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: likes; Type: TABLE; Schema: content; Owner: -
--

CREATE TABLE content.likes (
    id uuid NOT NULL,
    target_type integer NOT NULL,
    target_id uuid NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: media; Type: TABLE; Schema: content; Owner: -
--

CREATE TABLE content.media (
    id uuid NOT NULL,
    owner_id uuid NOT NULL,
    storage_path text COLLATE pg_catalog."C",
    mime text COLLATE pg_catalog."C",
    size bigint,
    width integer,
    height integer,
    post_id uuid,
    processing_state integer,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: media_metadata; Type: TABLE; Schema: content; Owner: -
--

CREATE TABLE content.media_metadata (
    id uuid NOT NULL,
    media_id uuid NOT NULL,
    labels jsonb,
    thumbnails jsonb,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: posts; Type: TABLE; Schema: content; Owner: -
--

CREATE TABLE content.posts (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    content text COLLATE pg_catalog."C",
    media_ids uuid[],
    meta jsonb,
    visibility integer,
    location text COLLATE pg_catalog."C",
    like_count integer,
    comment_count integer,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: conversation_members; Type: TABLE; Schema: messaging; Owner: -
--

CREATE TABLE messaging.conversation_members (
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role integer,
    joined_at timestamp(3) with time zone,
    unread_count integer,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: conversations_meta; Type: TABLE; Schema: messaging; Owner: -
--

CREATE TABLE messaging.conversations_meta (
    id uuid NOT NULL,
    type integer,
    title text COLLATE pg_catalog."C",
    last_message_id uuid,
    last_message_text text COLLATE pg_catalog."C",
    last_message_time timestamp(3) with time zone,
    state integer,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: message_index; Type: TABLE; Schema: messaging; Owner: -
--

CREATE TABLE messaging.message_index (
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    message_type integer,
    state integer,
    content text COLLATE pg_catalog."C",
    attachments jsonb,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: notifications; Type: TABLE; Schema: messaging; Owner: -
--

CREATE TABLE messaging.notifications (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    payload jsonb,
    read boolean,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: admin_actions; Type: TABLE; Schema: moderation; Owner: -
--

CREATE TABLE moderation.admin_actions (
    id uuid NOT NULL,
    admin_id uuid NOT NULL,
    action text NOT NULL COLLATE pg_catalog."C",
    target_type integer,
    target_id uuid,
    details jsonb,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: audit_logs; Type: TABLE; Schema: moderation; Owner: -
--

CREATE TABLE moderation.audit_logs (
    id uuid NOT NULL,
    actor_id uuid,
    action text NOT NULL COLLATE pg_catalog."C",
    collection text COLLATE pg_catalog."C",
    document_id uuid,
    diff jsonb,
    ip inet,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: reports; Type: TABLE; Schema: moderation; Owner: -
--

CREATE TABLE moderation.reports (
    id uuid NOT NULL,
    actor_id uuid NOT NULL,
    target_type integer NOT NULL,
    target_id uuid NOT NULL,
    reason text COLLATE pg_catalog."C",
    state integer,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: user_activity_logs; Type: TABLE; Schema: moderation; Owner: -
--

CREATE TABLE moderation.user_activity_logs (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    event text NOT NULL COLLATE pg_catalog."C",
    data jsonb,
    created_at timestamp(3) with time zone NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    _rev bigint NOT NULL
);


--
-- Name: tombstones; Type: TABLE; Schema: nubo; Owner: -
--

CREATE TABLE nubo.tombstones (
    collection text NOT NULL COLLATE pg_catalog."C",
    id uuid NOT NULL,
    revision bigint NOT NULL,
    deleted_at bigint NOT NULL
);


--
-- Data for Name: relations; Type: TABLE DATA; Schema: auth; Owner: -
--



--
-- Data for Name: sessions; Type: TABLE DATA; Schema: auth; Owner: -
--

INSERT INTO auth.sessions VALUES ('01a20d9e-7614-7fca-b468-389b35dc268f', '01a20d9e-733f-7c20-bec3-736a241dc82e', 'sIq_oHnLwvPOBjp5xtgfnuZ33E-09HKbE0vGHz-k2EM', '{"user_agent": "curl/7.88.1"}', '{127.0.0.1}', '2026-12-24 12:53:38.452+00', 0, '2026-11-24 12:53:38.452+00', false, '2026-11-24 12:53:38.453+00', '2026-11-24 12:53:38.453+00', 1795524818453407);


--
-- Data for Name: user_settings; Type: TABLE DATA; Schema: auth; Owner: -
--

INSERT INTO auth.user_settings VALUES ('01a20d9e-737f-7add-8c12-25bb2babf70c', '01a20d9e-733f-7c20-bec3-736a241dc82e', '{"posts": "public", "profile": "public", "messages": "public"}', '{"like": true, "follow": true, "comment": true, "message": true, "friend_request": true}', 'en', 'UTC', 0, '2026-11-24 12:53:37.727+00', '2026-11-24 12:53:37.727+00', 1795524817788110);


--
-- Data for Name: users; Type: TABLE DATA; Schema: auth; Owner: -
--

INSERT INTO auth.users VALUES ('01a20d9e-733f-7c20-bec3-736a241dc82e', 'ada', 'ada@example.org', false, NULL, false, '$argon2id$v=19$m=19456,t=2,p=1$1VfjHfm1s0G6M3G+QIRaLQ$jTFTdfQ6Mc/SM7ZDxlPXIYLf71K3ANQzLS9JLGl7sqw', 'Ada', 'Lovelace', NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL, NULL, NULL, '{user}', 1, 1, '2026-11-24 12:53:38.453+00', '2026-11-24 12:53:37.727+00', '2026-11-24 12:53:38.453+00', 1795524818453407);


--
-- Data for Name: comments; Type: TABLE DATA; Schema: content; Owner: -
--

INSERT INTO content.comments VALUES ('01a20d9e-7755-7b2f-8bfc-9f5d7bc4b707', '01a20d9e-76eb-7d2b-afab-c0c814742bb8', '01a20d9e-733f-7c20-bec3-736a241dc82e', 'Première — ☕', 0, '2026-11-24 12:53:38.773+00', '2026-11-24 12:53:38.773+00', 1795524818774022);


--
-- Data for Name: feed_cache; Type: TABLE DATA; Schema: content; Owner: -
--



--
-- Data for Name: likes; Type: TABLE DATA; Schema: content; Owner: -
--

INSERT INTO content.likes VALUES ('01a20d9e-7767-76d0-8fc0-a311eba074fe', 0, '01a20d9e-76eb-7d2b-afab-c0c814742bb8', '01a20d9e-733f-7c20-bec3-736a241dc82e', '2026-11-24 12:53:38.791+00', '2026-11-24 12:53:38.791+00', 1795524818791598);


--
-- Data for Name: media; Type: TABLE DATA; Schema: content; Owner: -
--

INSERT INTO content.media VALUES ('01a20d9e-7776-7ced-a8e0-7b93a0b2a569', '01a20d9e-733f-7c20-bec3-736a241dc82e', NULL, 'image/png', 9007199254740993, 640, NULL, NULL, 0, '2026-11-24 12:53:38.806+00', '2026-11-24 12:53:38.806+00', 1795524818806947);


--
-- Data for Name: media_metadata; Type: TABLE DATA; Schema: content; Owner: -
--



--
-- Data for Name: posts; Type: TABLE DATA; Schema: content; Owner: -
--

INSERT INTO content.posts VALUES ('01a20d9e-76eb-7d2b-afab-c0c814742bb8', '01a20d9e-733f-7c20-bec3-736a241dc82e', 'It''s the engine', NULL, '{"hashtags": ["engines"]}', 0, NULL, 1, 1, '2026-11-24 12:53:38.667+00', '2026-11-24 12:53:38.791+00', 1795524818791598);


--
-- Data for Name: conversation_members; Type: TABLE DATA; Schema: messaging; Owner: -
--



--
-- Data for Name: conversations_meta; Type: TABLE DATA; Schema: messaging; Owner: -
--

INSERT INTO messaging.conversations_meta VALUES ('01a20d9e-7781-7ba5-8331-1793db4389ab', 1, 'Analysts', NULL, NULL, NULL, 0, '2026-11-24 12:53:38.817+00', '2026-11-24 12:53:38.817+00', 1795524818817966);


--
-- Data for Name: message_index; Type: TABLE DATA; Schema: messaging; Owner: -
--



--
-- Data for Name: notifications; Type: TABLE DATA; Schema: messaging; Owner: -
--



--
-- Data for Name: admin_actions; Type: TABLE DATA; Schema: moderation; Owner: -
--



--
-- Data for Name: audit_logs; Type: TABLE DATA; Schema: moderation; Owner: -
--



--
-- Data for Name: reports; Type: TABLE DATA; Schema: moderation; Owner: -
--



--
-- Data for Name: user_activity_logs; Type: TABLE DATA; Schema: moderation; Owner: -
--



--
-- Data for Name: tombstones; Type: TABLE DATA; Schema: nubo; Owner: -
--

INSERT INTO nubo.tombstones VALUES ('posts', '01a20d9e-77f2-737c-a496-4966b1566457', 1795524819035444, 1795524819035444);


--
-- Name: relations relations_pkey; Type: CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.relations
    ADD CONSTRAINT relations_pkey PRIMARY KEY (id);


--
-- Name: sessions sessions_pkey; Type: CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);


--
-- Name: user_settings user_settings_pkey; Type: CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.user_settings
    ADD CONSTRAINT user_settings_pkey PRIMARY KEY (id);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: comments comments_pkey; Type: CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.comments
    ADD CONSTRAINT comments_pkey PRIMARY KEY (id);


--
-- Name: feed_cache feed_cache_pkey; Type: CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.feed_cache
    ADD CONSTRAINT feed_cache_pkey PRIMARY KEY (id);


--
-- Name: likes likes_pkey; Type: CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.likes
    ADD CONSTRAINT likes_pkey PRIMARY KEY (id);


--
-- Name: media_metadata media_metadata_pkey; Type: CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.media_metadata
    ADD CONSTRAINT media_metadata_pkey PRIMARY KEY (id);


--
-- Name: media media_pkey; Type: CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.media
    ADD CONSTRAINT media_pkey PRIMARY KEY (id);


--
-- Name: posts posts_pkey; Type: CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.posts
    ADD CONSTRAINT posts_pkey PRIMARY KEY (id);


--
-- Name: conversation_members conversation_members_pkey; Type: CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.conversation_members
    ADD CONSTRAINT conversation_members_pkey PRIMARY KEY (id);


--
-- Name: conversations_meta conversations_meta_pkey; Type: CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.conversations_meta
    ADD CONSTRAINT conversations_meta_pkey PRIMARY KEY (id);


--
-- Name: message_index message_index_pkey; Type: CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.message_index
    ADD CONSTRAINT message_index_pkey PRIMARY KEY (id);


--
-- Name: notifications notifications_pkey; Type: CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (id);


--
-- Name: admin_actions admin_actions_pkey; Type: CONSTRAINT; Schema: moderation; Owner: -
--

ALTER TABLE ONLY moderation.admin_actions
    ADD CONSTRAINT admin_actions_pkey PRIMARY KEY (id);


--
-- Name: audit_logs audit_logs_pkey; Type: CONSTRAINT; Schema: moderation; Owner: -
--

ALTER TABLE ONLY moderation.audit_logs
    ADD CONSTRAINT audit_logs_pkey PRIMARY KEY (id);


--
-- Name: reports reports_pkey; Type: CONSTRAINT; Schema: moderation; Owner: -
--

ALTER TABLE ONLY moderation.reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (id);


--
-- Name: user_activity_logs user_activity_logs_pkey; Type: CONSTRAINT; Schema: moderation; Owner: -
--

ALTER TABLE ONLY moderation.user_activity_logs
    ADD CONSTRAINT user_activity_logs_pkey PRIMARY KEY (id);


--
-- Name: tombstones tombstones_pkey; Type: CONSTRAINT; Schema: nubo; Owner: -
--

ALTER TABLE ONLY nubo.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (id, collection);


--
-- Name: relations_created_at_desc_id_desc_idx; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX relations_created_at_desc_id_desc_idx ON auth.relations USING btree (created_at DESC, id DESC);


--
-- Name: relations_primary_id_idx; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX relations_primary_id_idx ON auth.relations USING btree (primary_id, id);


--
-- Name: relations_primary_id_secondary_id_key; Type: INDEX; Schema: auth; Owner: -
--

CREATE UNIQUE INDEX relations_primary_id_secondary_id_key ON auth.relations USING btree (primary_id, secondary_id);


--
-- Name: relations_secondary_id_idx; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX relations_secondary_id_idx ON auth.relations USING btree (secondary_id, id);


--
-- Name: sessions_created_at_desc_id_desc_idx; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX sessions_created_at_desc_id_desc_idx ON auth.sessions USING btree (created_at DESC, id DESC);


--
-- Name: sessions_user_id_revoked_idx; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX sessions_user_id_revoked_idx ON auth.sessions USING btree (user_id, revoked NULLS FIRST, id);


--
-- Name: user_settings_created_at_desc_id_desc_idx; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX user_settings_created_at_desc_id_desc_idx ON auth.user_settings USING btree (created_at DESC, id DESC);


--
-- Name: user_settings_user_id_key; Type: INDEX; Schema: auth; Owner: -
--

CREATE UNIQUE INDEX user_settings_user_id_key ON auth.user_settings USING btree (user_id);


--
-- Name: users_created_at_desc_id_desc_idx; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX users_created_at_desc_id_desc_idx ON auth.users USING btree (created_at DESC, id DESC);


--
-- Name: users_email_key; Type: INDEX; Schema: auth; Owner: -
--

CREATE UNIQUE INDEX users_email_key ON auth.users USING btree (email);


--
-- Name: users_phone_key; Type: INDEX; Schema: auth; Owner: -
--

CREATE UNIQUE INDEX users_phone_key ON auth.users USING btree (phone NULLS FIRST);


--
-- Name: users_profile_picture_id_ref; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX users_profile_picture_id_ref ON auth.users USING btree (profile_picture_id NULLS FIRST);


--
-- Name: users_state_created_at_desc_idx; Type: INDEX; Schema: auth; Owner: -
--

CREATE INDEX users_state_created_at_desc_idx ON auth.users USING btree (state NULLS FIRST, created_at DESC, id DESC);


--
-- Name: users_username_key; Type: INDEX; Schema: auth; Owner: -
--

CREATE UNIQUE INDEX users_username_key ON auth.users USING btree (username);


--
-- Name: comments_created_at_desc_id_desc_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX comments_created_at_desc_id_desc_idx ON content.comments USING btree (created_at DESC, id DESC);


--
-- Name: comments_post_id_created_at_desc_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX comments_post_id_created_at_desc_idx ON content.comments USING btree (post_id, created_at DESC, id DESC);


--
-- Name: comments_user_id_ref; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX comments_user_id_ref ON content.comments USING btree (user_id);


--
-- Name: feed_cache_created_at_desc_id_desc_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX feed_cache_created_at_desc_id_desc_idx ON content.feed_cache USING btree (created_at DESC, id DESC);


--
-- Name: feed_cache_user_id_created_at_desc_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX feed_cache_user_id_created_at_desc_idx ON content.feed_cache USING btree (user_id, created_at DESC, id DESC);


--
-- Name: likes_created_at_desc_id_desc_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX likes_created_at_desc_id_desc_idx ON content.likes USING btree (created_at DESC, id DESC);


--
-- Name: likes_target_type_target_id_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX likes_target_type_target_id_idx ON content.likes USING btree (target_type, target_id, id);


--
-- Name: likes_target_type_target_id_user_id_key; Type: INDEX; Schema: content; Owner: -
--

CREATE UNIQUE INDEX likes_target_type_target_id_user_id_key ON content.likes USING btree (target_type, target_id, user_id);


--
-- Name: likes_user_id_ref; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX likes_user_id_ref ON content.likes USING btree (user_id);


--
-- Name: media_created_at_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX media_created_at_idx ON content.media USING btree (created_at, id);


--
-- Name: media_metadata_created_at_desc_id_desc_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX media_metadata_created_at_desc_id_desc_idx ON content.media_metadata USING btree (created_at DESC, id DESC);


--
-- Name: media_metadata_media_id_key; Type: INDEX; Schema: content; Owner: -
--

CREATE UNIQUE INDEX media_metadata_media_id_key ON content.media_metadata USING btree (media_id);


--
-- Name: media_owner_id_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX media_owner_id_idx ON content.media USING btree (owner_id, id);


--
-- Name: media_post_id_ref; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX media_post_id_ref ON content.media USING btree (post_id NULLS FIRST);


--
-- Name: posts_created_at_desc_id_desc_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX posts_created_at_desc_id_desc_idx ON content.posts USING btree (created_at DESC, id DESC);


--
-- Name: posts_meta_gin; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX posts_meta_gin ON content.posts USING gin (meta);


--
-- Name: posts_user_id_created_at_desc_idx; Type: INDEX; Schema: content; Owner: -
--

CREATE INDEX posts_user_id_created_at_desc_idx ON content.posts USING btree (user_id, created_at DESC, id DESC);


--
-- Name: conversation_members_conversation_id_user_id_key; Type: INDEX; Schema: messaging; Owner: -
--

CREATE UNIQUE INDEX conversation_members_conversation_id_user_id_key ON messaging.conversation_members USING btree (conversation_id, user_id);


--
-- Name: conversation_members_created_at_desc_id_desc_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX conversation_members_created_at_desc_id_desc_idx ON messaging.conversation_members USING btree (created_at DESC, id DESC);


--
-- Name: conversation_members_user_id_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX conversation_members_user_id_idx ON messaging.conversation_members USING btree (user_id, id);


--
-- Name: conversations_meta_created_at_desc_id_desc_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX conversations_meta_created_at_desc_id_desc_idx ON messaging.conversations_meta USING btree (created_at DESC, id DESC);


--
-- Name: conversations_meta_last_message_id_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX conversations_meta_last_message_id_idx ON messaging.conversations_meta USING btree (last_message_id NULLS FIRST, id);


--
-- Name: conversations_meta_last_message_time_desc_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX conversations_meta_last_message_time_desc_idx ON messaging.conversations_meta USING btree (last_message_time DESC NULLS LAST, id DESC);


--
-- Name: message_index_conversation_id_created_at_desc_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX message_index_conversation_id_created_at_desc_idx ON messaging.message_index USING btree (conversation_id, created_at DESC, id DESC);


--
-- Name: message_index_created_at_desc_id_desc_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX message_index_created_at_desc_id_desc_idx ON messaging.message_index USING btree (created_at DESC, id DESC);


--
-- Name: message_index_sender_id_idx_b9e6494e; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX message_index_sender_id_idx_b9e6494e ON messaging.message_index USING btree (sender_id, id) WHERE (state = 0);


--
-- Name: notifications_created_at_desc_id_desc_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX notifications_created_at_desc_id_desc_idx ON messaging.notifications USING btree (created_at DESC, id DESC);


--
-- Name: notifications_user_id_created_at_desc_idx; Type: INDEX; Schema: messaging; Owner: -
--

CREATE INDEX notifications_user_id_created_at_desc_idx ON messaging.notifications USING btree (user_id, created_at DESC, id DESC);


--
-- Name: admin_actions_admin_id_idx; Type: INDEX; Schema: moderation; Owner: -
--

CREATE INDEX admin_actions_admin_id_idx ON moderation.admin_actions USING btree (admin_id, id);


--
-- Name: admin_actions_created_at_idx; Type: INDEX; Schema: moderation; Owner: -
--

CREATE INDEX admin_actions_created_at_idx ON moderation.admin_actions USING btree (created_at, id);


--
-- Name: audit_logs_actor_id_idx; Type: INDEX; Schema: moderation; Owner: -
--

CREATE INDEX audit_logs_actor_id_idx ON moderation.audit_logs USING btree (actor_id NULLS FIRST, id);


--
-- Name: audit_logs_created_at_idx; Type: INDEX; Schema: moderation; Owner: -
--

CREATE INDEX audit_logs_created_at_idx ON moderation.audit_logs USING btree (created_at, id);


--
-- Name: reports_actor_id_idx; Type: INDEX; Schema: moderation; Owner: -
--

CREATE INDEX reports_actor_id_idx ON moderation.reports USING btree (actor_id, id);


--
-- Name: reports_created_at_idx; Type: INDEX; Schema: moderation; Owner: -
--

CREATE INDEX reports_created_at_idx ON moderation.reports USING btree (created_at, id);


--
-- Name: user_activity_logs_created_at_desc_id_desc_idx; Type: INDEX; Schema: moderation; Owner: -
--

CREATE INDEX user_activity_logs_created_at_desc_id_desc_idx ON moderation.user_activity_logs USING btree (created_at DESC, id DESC);


--
-- Name: user_activity_logs_user_id_created_at_desc_idx; Type: INDEX; Schema: moderation; Owner: -
--

CREATE INDEX user_activity_logs_user_id_created_at_desc_idx ON moderation.user_activity_logs USING btree (user_id, created_at DESC, id DESC);


--
-- Name: tombstones_deleted_at_idx; Type: INDEX; Schema: nubo; Owner: -
--

CREATE INDEX tombstones_deleted_at_idx ON nubo.tombstones USING btree (deleted_at);


--
-- Name: relations relations_primary_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.relations
    ADD CONSTRAINT relations_primary_id_fkey FOREIGN KEY (primary_id) REFERENCES auth.users(id);


--
-- Name: relations relations_secondary_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.relations
    ADD CONSTRAINT relations_secondary_id_fkey FOREIGN KEY (secondary_id) REFERENCES auth.users(id);


--
-- Name: sessions sessions_user_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);


--
-- Name: user_settings user_settings_user_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.user_settings
    ADD CONSTRAINT user_settings_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);


--
-- Name: users users_profile_picture_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: -
--

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_profile_picture_id_fkey FOREIGN KEY (profile_picture_id) REFERENCES content.media(id);


--
-- Name: comments comments_post_id_fkey; Type: FK CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.comments
    ADD CONSTRAINT comments_post_id_fkey FOREIGN KEY (post_id) REFERENCES content.posts(id);


--
-- Name: comments comments_user_id_fkey; Type: FK CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.comments
    ADD CONSTRAINT comments_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);


--
-- Name: feed_cache feed_cache_user_id_fkey; Type: FK CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.feed_cache
    ADD CONSTRAINT feed_cache_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);


--
-- Name: likes likes_user_id_fkey; Type: FK CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.likes
    ADD CONSTRAINT likes_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);


--
-- Name: media_metadata media_metadata_media_id_fkey; Type: FK CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.media_metadata
    ADD CONSTRAINT media_metadata_media_id_fkey FOREIGN KEY (media_id) REFERENCES content.media(id);


--
-- Name: media media_owner_id_fkey; Type: FK CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.media
    ADD CONSTRAINT media_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES auth.users(id);


--
-- Name: media media_post_id_fkey; Type: FK CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.media
    ADD CONSTRAINT media_post_id_fkey FOREIGN KEY (post_id) REFERENCES content.posts(id);


--
-- Name: posts posts_user_id_fkey; Type: FK CONSTRAINT; Schema: content; Owner: -
--

ALTER TABLE ONLY content.posts
    ADD CONSTRAINT posts_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);


--
-- Name: conversation_members conversation_members_conversation_id_fkey; Type: FK CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.conversation_members
    ADD CONSTRAINT conversation_members_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES messaging.conversations_meta(id);


--
-- Name: conversation_members conversation_members_user_id_fkey; Type: FK CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.conversation_members
    ADD CONSTRAINT conversation_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);


--
-- Name: message_index message_index_conversation_id_fkey; Type: FK CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.message_index
    ADD CONSTRAINT message_index_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES messaging.conversations_meta(id);


--
-- Name: message_index message_index_sender_id_fkey; Type: FK CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.message_index
    ADD CONSTRAINT message_index_sender_id_fkey FOREIGN KEY (sender_id) REFERENCES auth.users(id);


--
-- Name: notifications notifications_user_id_fkey; Type: FK CONSTRAINT; Schema: messaging; Owner: -
--

ALTER TABLE ONLY messaging.notifications
    ADD CONSTRAINT notifications_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);


--
-- Name: admin_actions admin_actions_admin_id_fkey; Type: FK CONSTRAINT; Schema: moderation; Owner: -
--

ALTER TABLE ONLY moderation.admin_actions
    ADD CONSTRAINT admin_actions_admin_id_fkey FOREIGN KEY (admin_id) REFERENCES auth.users(id);


--
-- Name: reports reports_actor_id_fkey; Type: FK CONSTRAINT; Schema: moderation; Owner: -
--

ALTER TABLE ONLY moderation.reports
    ADD CONSTRAINT reports_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES auth.users(id);


--
-- PostgreSQL database dump complete
--


