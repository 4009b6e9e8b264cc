//! What is different where other instances write too.

use std::sync::{Arc, Mutex, atomic::Ordering};

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    bus::{Bus, Channel, Event, Heard, Lease, NoBus, Position, Replay, What},
    id::Id,
    value::Value,
};

use crate::fake::{PASSWORD, Server};

/// What was published.
#[derive(Default)]
struct Published(Mutex<Vec<Event>>);

#[async_trait]
impl Bus for Published {
    fn is_heard(&self) -> bool {
        true
    }

    fn publish(&self, events: Vec<Event>) {
        self.0.lock().unwrap().extend(events);
    }

    async fn open(&self, channel: &Channel) -> Result<Position> {
        NoBus.open(channel).await
    }

    async fn close(&self, _: &Channel) {}

    async fn replay(&self, channel: &Channel, since: Position) -> Result<Replay> {
        NoBus.replay(channel, since).await
    }

    async fn next(&self) -> Vec<Heard> {
        NoBus.next().await
    }

    async fn show(&self, _: Vec<Lease>) -> Result<()> {
        Ok(())
    }

    async fn hide(&self, _: Vec<Lease>) -> Result<()> {
        Ok(())
    }

    async fn present(&self, _: &Channel) -> Result<Vec<Id>> {
        Ok(Vec::new())
    }

    async fn are_present(&self, channel: &Channel, accounts: &[Id]) -> Result<Vec<bool>> {
        NoBus.are_present(channel, accounts).await
    }
}

impl Published {
    /// How often other instances were told since this was asked last.
    fn told(&self) -> usize {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        for event in &events {
            assert!(matches!(event.what, What::AccountChanged { .. }));
            assert_eq!(event.channels, [Channel::accounts()]);
        }
        events.len()
    }
}

#[tokio::test]
async fn the_store_is_asked_each_time() {
    let server = Server::among(Arc::new(NoBus)).await;
    let token = server.sign_up("ada").await.access();
    for _ in 0..3 {
        let before = server.store.finds.load(Ordering::Relaxed);
        let caller = server.sessions.authenticate(&token).await.unwrap().caller;
        assert!(caller.has_role("user") && !caller.has_role("admin"));
        let asked = server.store.finds.load(Ordering::Relaxed) - before;
        assert_eq!(asked, 2, "one session and one account");
    }
    let roles = Value::List(vec![Value::Text("admin".into())]);
    server.store.set_all("users", "roles", &roles);
    let caller = server.sessions.authenticate(&token).await.unwrap().caller;
    assert!(caller.has_role("admin"));
    server
        .store
        .set_all("sessions", "revoked", &Value::Bool(true));
    let refused = server.sessions.authenticate(&token).await;
    assert!(matches!(
        refused,
        Err(Error::Unauthorized {
            code: "revoked_token",
            ..
        })
    ));
}

#[tokio::test]
async fn others_are_told_of_what_ends_or_looks_different_and_of_nothing_else() {
    let bus = Arc::new(Published::default());
    let server = Server::among(bus.clone()).await;
    let here = server.sign_up("ada").await;
    let there = server.log_in("ada", PASSWORD).await;
    server.refresh(&there.refresh()).await;
    assert_eq!(bus.told(), 0, "who is new, or goes on, concerns nobody");
    let ended = server.send("POST", "/logout", &here.access(), None).await;
    assert_eq!((ended.status, bus.told()), (204, 1));
    let roles = Value::List(vec![Value::Text("admin".into())]);
    server.store.set_all("users", "roles", &roles);
    assert_eq!(bus.told(), 1);
}
