//! What must hold however commands and events happen to come one after the other.

use std::sync::{Arc, atomic::Ordering};

use nubo_core::{
    bus::{Event, Published, What},
    caller::{Account, Caller},
    declare::CollectionDeclaration,
    field::Source,
    id::Id,
    observe::Touched,
    schema::Catalog,
    sessions::{SignedIn, Watcher},
    time::Timestamp,
};
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    close::Close,
    dispatch::wish::Scope,
    fake::{self, Quiet, Tokens, position},
};

const ADA: &str = "00000000-0000-7000-8000-00000000000a";

fn catalog() -> Catalog {
    let member = json!({ "room_id": { "$in": {
        "$select": "members.room_id", "$where": { "user_id": "$auth.id" } } } });
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
        { "name": "lines", "access": { "read": member }, "fields": {
            "room_id": "uuid", "grade": { "type": "int", "readable_by": "role:moderator" } } },
        { "name": "members", "fields": { "room_id": "uuid", "user_id": "uuid" } },
        { "name": "others", "fields": { "room_id": "uuid" } },
    ]))
    .unwrap();
    Catalog::compile(&declarations, &[]).unwrap()
}

fn ada() -> Id {
    ADA.parse().unwrap()
}

fn signed_in(roles: &[&str]) -> SignedIn {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    SignedIn {
        caller: Caller::account(Account::new(ada(), roles)),
        session: None,
        expires_at: Timestamp::from_millis(i64::MAX / 2),
    }
}

/// A dispatcher with one connection, of somebody who has shown the token `first`.
struct World {
    head: u64,
    bus: Arc<Quiet>,
    sessions: Arc<Tokens>,
    dispatcher: Dispatcher,
    connection: Arc<Connection>,
    room: crate::connections::Room,
}

impl World {
    /// The bus has come to this event, and had come to the first one when the dispatcher began.
    fn new(head: u64) -> Self {
        let sessions = Arc::new(Tokens::default());
        let first = signed_in(&[]);
        let mut tokens = sessions.0.lock().unwrap();
        tokens.insert("first".into(), first.clone());
        drop(tokens);
        let bus = Arc::new(Quiet::at(1));
        let (hub, waiting) = fake::hub(catalog(), bus.clone(), Arc::clone(&sessions));
        let (id, shown) = (ada(), Some((first, "first")));
        let connection = Connection::new(id, shown, hub.courier(), &hub.limits, fake::now());
        let settings = &hub.limits.settings;
        let room = hub.connections.make_room(Some(ada()), settings).unwrap();
        Self {
            head,
            bus,
            sessions,
            dispatcher: Dispatcher::new(hub, waiting),
            connection: Arc::new(connection),
            room,
        }
    }

    async fn begins(&mut self) {
        self.dispatcher.open_looked_up().await.unwrap();
        self.bus.head.store(self.head, Ordering::SeqCst);
    }

    /// The handshake is over.
    async fn comes(&mut self) {
        self.begins().await;
        self.room.take(&self.connection);
        let (reply, _replied) = oneshot::channel();
        let connection = Arc::clone(&self.connection);
        let came = Command::Came { connection, reply };
        self.dispatcher.carry_out(came).await;
    }

    fn revoke(&self, token: &str) {
        self.sessions.0.lock().unwrap().remove(token);
        self.dispatcher.hub.changed.changed(ada());
    }

    fn grant(&self, token: &str, signed_in: SignedIn) {
        let mut tokens = self.sessions.0.lock().unwrap();
        tokens.insert(token.into(), signed_in);
    }

    fn closes(&self) -> Option<Close> {
        self.connection.waiting().1
    }

    fn events(&self) -> Vec<Json> {
        let waiting = self.connection.waiting().0;
        waiting
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    async fn subscribe(&mut self, since: Option<u64>) -> Json {
        self.subscribe_to(since, Scope::default()).await
    }

    async fn subscribe_to(&mut self, since: Option<u64>, scope: Scope) -> Json {
        self.try_subscribe(since, scope).await.unwrap();
        self.events().remove(0)["ok"].clone()
    }

    async fn try_subscribe(&mut self, since: Option<u64>, scope: Scope) -> Result<()> {
        let lines = self.dispatcher.hub.catalog.named("lines").unwrap();
        let wish = Wish {
            channel: lines.channel(),
            carries: vec![lines.id],
            named_after: Vec::new(),
            scope,
            since: since.map(position),
            presence: true,
        };
        let (reply, replied) = oneshot::channel();
        let subscribe = Command::Subscribe {
            connection: Arc::clone(&self.connection),
            id: Some(Json::from(1)),
            wish: Box::new(wish),
            reply,
        };
        self.dispatcher.carry_out(subscribe).await;
        replied.await.unwrap()
    }

    /// Ada becomes a member of a room, and the dispatcher hears of it.
    async fn hears_of_membership(&mut self, sequence: u64) {
        let hub = Arc::clone(&self.dispatcher.hub);
        let members = hub.catalog.named("members").unwrap();
        let json = json!({ "room_id": ADA, "user_id": ADA });
        let mut member = members.read_document(&json, Source::Json).unwrap();
        members
            .complete(&mut member, fake::now(), None, ada)
            .unwrap();
        let event = Event {
            channels: members.channels(None, Some(&member)),
            what: What::Changed(Arc::new(Touched {
                collection: members.id,
                before: None,
                after: Some(member),
            })),
        };
        let (position, event) = (position(sequence), Arc::new(event));
        self.dispatcher
            .hear(Heard::Event(Published { position, event }))
            .await;
    }
}

#[tokio::test]
async fn a_session_that_ends_during_the_handshake_ends_the_connection() {
    let mut world = World::new(1);
    // The token was good when it was shown. Nobody was connected yet, so nobody took note.
    world.revoke("first");
    world.comes().await;
    assert_eq!(world.closes(), Some(Close::Revoked));
}

#[tokio::test]
async fn a_session_that_ends_while_its_token_is_being_shown_ends_the_connection() {
    let mut world = World::new(1);
    world.comes().await;
    assert_eq!(world.closes(), None);
    // `auth` found the second token good; before the connection takes it, its session ends, and the
    // dispatcher finds the first one as good as ever.
    let second = signed_in(&[]);
    world.revoke("second");
    world.dispatcher.look_at_changed().await;
    world.connection.identify(second, "second");
    let (reply, _replied) = oneshot::channel();
    let connection = Arc::clone(&world.connection);
    let identified = Command::Identified { connection, reply };
    world.dispatcher.carry_out(identified).await;
    assert_eq!(world.closes(), Some(Close::Revoked));
}

#[tokio::test]
async fn roles_that_change_during_the_handshake_count() {
    let mut world = World::new(1);
    world.grant("first", signed_in(&["moderator"]));
    world.comes().await;
    assert!(world.connection.caller().has_role("moderator"));
}

#[tokio::test]
async fn whoever_resumes_before_a_look_up_is_heard_of_is_told_of_it_then() {
    let mut world = World::new(10);
    world.comes().await;
    world.hears_of_membership(9).await;
    // Ten is published, and waits for the dispatcher while the client comes back.
    let ok = world.subscribe(Some(9)).await;
    assert_eq!(
        (&ok["resumed"], &ok["position"]),
        (&json!(true), &json!("1-10"))
    );
    world.hears_of_membership(10).await;
    let events = world.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["event"], "reload");
    assert_eq!(events[0]["reason"], "access");
}

#[tokio::test]
async fn whoever_begins_is_not_told_of_what_was_before() {
    let mut world = World::new(10);
    world.comes().await;
    world.hears_of_membership(9).await;
    world.subscribe(None).await;
    world.hears_of_membership(10).await;
    assert_eq!(world.events(), [] as [Json; 0]);
    world.hears_of_membership(11).await;
    assert_eq!(world.events().len(), 1);
}

#[tokio::test]
async fn a_filter_on_a_field_that_may_not_be_read_any_more_hears_nothing() {
    let mut world = World::new(10);
    world.grant("first", signed_in(&["moderator"]));
    world.comes().await;
    let hub = Arc::clone(&world.dispatcher.hub);
    let lines = hub.catalog.named("lines").unwrap();
    let reader = nubo_core::filter::Reader::of_client(&hub.catalog, lines);
    let filter = |field: &str| Scope {
        only: Some(lines.id),
        filter: Some(reader.read(&json!({ field: null })).unwrap()),
        fields: None,
    };
    let is_subscribed = |world: &World| {
        let channels = world.dispatcher.listeners.of(world.connection.id);
        channels.contains(&lines.channel())
    };
    for (field, stays) in [("room_id", true), ("grade", false)] {
        world.grant("first", signed_in(&["moderator"]));
        hub.changed.changed(ada());
        world.dispatcher.look_at_changed().await;
        world.events();
        world.subscribe_to(None, filter(field)).await;
        // An event has been heard, so that there is a place to reload from.
        world.dispatcher.position = Some(position(10));
        world.grant("first", signed_in(&[]));
        hub.changed.changed(ada());
        world.dispatcher.look_at_changed().await;
        assert_eq!(world.events()[0]["event"], "reload");
        assert_eq!(is_subscribed(&world), stays, "{field}");
    }
}

#[tokio::test]
async fn nobody_subscribes_before_what_rules_look_up_is_heard() {
    let mut world = World::new(10);
    let hub = Arc::clone(&world.dispatcher.hub);
    let [lines, members] =
        ["lines", "members"].map(|name| hub.catalog.named(name).unwrap().channel());
    let is_open = |world: &World, channel| world.bus.open.lock().unwrap().contains(channel);
    world.bus.away.store(true, Ordering::SeqCst);
    assert!(world.dispatcher.open_looked_up().await.is_err());
    let refused = world.try_subscribe(None, Scope::default()).await;
    assert_eq!(refused.unwrap_err().code(), "bus_unavailable");

    world.bus.away.store(false, Ordering::SeqCst);
    world.subscribe(None).await;
    assert!(is_open(&world, &members) && is_open(&world, &lines));
}

#[tokio::test]
async fn a_subscription_that_fails_or_ends_without_the_bus_leaves_no_channel_open() {
    let mut world = World::new(10);
    world.comes().await;
    let lines = world
        .dispatcher
        .hub
        .catalog
        .named("lines")
        .unwrap()
        .channel();
    let is_open = |world: &World| world.bus.open.lock().unwrap().contains(&lines);
    let connection = world.connection.id;
    world.subscribe(None).await;
    assert!(is_open(&world));
    world.bus.away.store(true, Ordering::SeqCst);
    let ended = world.dispatcher.unsubscribe(connection, &lines).await;
    assert_eq!(ended.unwrap_err().code(), "bus_unavailable");
    assert!(!is_open(&world));

    // The bus goes away after the channel was opened.
    world.bus.open.lock().unwrap().insert(lines.clone());
    assert!(world.try_subscribe(None, Scope::default()).await.is_err());
    assert!(!is_open(&world));
}

#[tokio::test]
async fn nothing_is_known_of_what_was_before_the_instance_began() {
    let mut world = World::new(10);
    world.comes().await;
    let lines = world.dispatcher.hub.catalog.named("lines").unwrap().id;
    let absence = &world.dispatcher.absence;
    // Another instance may have told of look-ups then, to whoever comes here now.
    assert!(absence.has_changed(None, &[lines], 0));
    assert!(!absence.has_changed(None, &[lines], 1));
}

#[tokio::test]
async fn what_another_instance_ends_is_ended_here() {
    let mut world = World::new(1);
    world.comes().await;
    assert_eq!(world.closes(), None);
    // Somebody else has changed the account: nothing follows from that.
    world.dispatcher.hear(changed_elsewhere()).await;
    assert_eq!(world.closes(), None);
    world.sessions.0.lock().unwrap().remove("first");
    world.dispatcher.hear(changed_elsewhere()).await;
    assert_eq!(world.closes(), Some(Close::Revoked));
}

#[tokio::test]
async fn where_events_are_lost_everybody_is_looked_at() {
    let mut world = World::new(1);
    world.comes().await;
    world.dispatcher.look_at_changed().await;
    world.sessions.0.lock().unwrap().remove("first");
    world.dispatcher.hear(Heard::Gap(position(2))).await;
    world.dispatcher.look_at_changed().await;
    assert_eq!(world.closes(), Some(Close::Revoked));
}

#[tokio::test]
async fn where_changes_were_missed_those_who_might_have_heard_of_them_read_again() {
    for (missed, channel, reads_again, may_resume) in [
        ("lines", "lines", true, true),
        ("lines", "lines/1", false, true),
        // Nobody knows any more who is a member of what.
        ("members", "members", true, false),
    ] {
        let mut world = World::new(10);
        world.comes().await;
        world.subscribe(None).await;
        let collection = world.dispatcher.hub.catalog.named(missed).unwrap().id;
        let event = Arc::new(Event {
            channels: vec![Channel::new(channel)],
            what: What::Missed { collection },
        });
        let (position, lines) = (position(11), Channel::new("lines"));
        let missed = Heard::Event(Published { position, event });
        world.dispatcher.hear(missed).await;
        let reload = json!({
            "event": "reload", "channel": lines.name(), "position": "1-11", "reason": "gap",
        });
        let told = if reads_again {
            vec![reload]
        } else {
            Vec::new()
        };
        assert_eq!(world.events(), told, "{channel}");
        let ok = world.subscribe(Some(10)).await;
        assert_eq!(ok["resumed"], may_resume, "{channel}");
    }
}

#[tokio::test]
async fn what_others_have_written_is_read_again_by_those_whom_it_concerns() {
    for (overtaken, concerns) in [
        (Some("lines"), true),
        (Some("members"), true),
        (None, true),
        (Some("others"), false),
    ] {
        let mut world = World::new(10);
        world.comes().await;
        world.subscribe(None).await;
        let catalog = Arc::clone(&world.dispatcher.hub.catalog);
        let collection = overtaken.map(|name| catalog.named(name).unwrap().id);
        let event = Arc::new(Event {
            channels: Vec::new(),
            what: What::Overtaken {
                collection,
                transactions: vec![1],
            },
        });
        let position = position(11);
        let heard = Heard::Event(Published { position, event });
        world.dispatcher.hear(heard).await;
        let reasons: Vec<Json> = world
            .events()
            .into_iter()
            .map(|event| event["reason"].clone())
            .collect();
        let told = if concerns {
            vec![json!("gap")]
        } else {
            Vec::new()
        };
        assert_eq!(reasons, told, "{overtaken:?}");
        let ok = world.subscribe(Some(10)).await;
        assert_eq!(ok["resumed"], !concerns, "{overtaken:?}");
    }
}

fn changed_elsewhere() -> Heard {
    Heard::Event(Published {
        position: position(2),
        event: Arc::new(Event {
            channels: vec![Channel::accounts()],
            what: What::AccountChanged { account: ada() },
        }),
    })
}
