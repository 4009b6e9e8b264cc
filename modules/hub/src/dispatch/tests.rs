//! What must hold however commands and events happen to come one after the other.

use std::sync::Arc;

use nubo_core::{
    caller::{Account, Caller},
    declare::CollectionDeclaration,
    id::Id,
    schema::Catalog,
    sessions::{SignedIn, Watcher},
    time::Timestamp,
};
use serde_json::json;

use super::*;
use crate::{
    close::Close,
    fake::{self, Quiet, Tokens},
};

const ADA: &str = "00000000-0000-7000-8000-00000000000a";

fn catalog() -> Catalog {
    let member = json!({ "room_id": { "$in": {
        "$select": "members.room_id", "$where": { "user_id": "$auth.id" } } } });
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
        { "name": "lines", "fields": { "room_id": "uuid" }, "access": { "read": member } },
        { "name": "members", "fields": { "room_id": "uuid", "user_id": "uuid" } },
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
    sessions: Arc<Tokens>,
    dispatcher: Dispatcher,
    connection: Arc<Connection>,
    room: crate::connections::Room,
}

impl World {
    /// The bus has come to this event.
    fn new(head: u64) -> Self {
        let sessions = Arc::new(Tokens::default());
        let first = signed_in(&[]);
        let mut tokens = sessions.0.lock().unwrap();
        tokens.insert("first".into(), first.clone());
        drop(tokens);
        let (hub, waiting) = fake::hub(catalog(), Quiet(head), Arc::clone(&sessions));
        let (id, shown) = (ada(), Some((first, "first")));
        let connection = Connection::new(id, shown, hub.courier(), &hub.limits, fake::now());
        let settings = &hub.limits.settings;
        let room = hub.connections.make_room(Some(ada()), settings).unwrap();
        Self {
            sessions,
            dispatcher: Dispatcher::new(hub, waiting),
            connection: Arc::new(connection),
            room,
        }
    }

    /// The handshake is over.
    async fn comes(&mut self) {
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
