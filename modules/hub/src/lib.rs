//! The WebSocket hub: what happens, live and in order, to those who may see it.
//!
//! A connection begins in [`handshake`] and is served by two tasks ([`connection`]): one takes
//! messages ([`request`]) in and works them off ([`operation`]), the other writes what waits. One
//! dispatcher ([`dispatch`]) hears the bus and tells everybody what is theirs; for whom an event is,
//! [`audience`] says. What is sent is made in [`event`] and [`frame`].
//!
//! The hub writes nothing by itself and reads no tier: it asks the store like everybody else. That
//! there are other instances it does not know; the bus does.

#![forbid(unsafe_code)]

mod asyncapi;
mod audience;
mod channels;
mod close;
mod connection;
mod connections;
mod dispatch;
mod event;
#[cfg(test)]
mod fake;
mod frame;
mod handshake;
mod hub;
mod openapi;
mod operation;
mod request;
mod settings;

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use async_trait::async_trait;
use nubo_core::{
    module::{Context, Contribution, Module, Route, Section, SetupError},
    served_text,
};
use poem::{EndpointExt, endpoint::BoxEndpoint};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use close::Close;
use connections::Connections;
use dispatch::{Command, Dispatcher};
use handshake::Handshake;
use hub::{Changed, Hub};
use settings::Limits;

pub use settings::Settings;

/// Orders that wait for the dispatcher. Each connection has one at most.
const COMMANDS: usize = 1024;
/// How long connections may take to end when the server stops.
const GOODBYE: Duration = Duration::from_secs(3);

/// The module `hub`.
#[derive(Default)]
pub struct WebSocketHub {
    hub: OnceLock<Arc<Hub>>,
    waiting: Mutex<Option<mpsc::Receiver<Command>>>,
    dispatcher: Mutex<Option<JoinHandle<()>>>,
    couriers: Mutex<JoinSet<()>>,
}

impl WebSocketHub {
    /// The module, not set up yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
        slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put<T>(slot: &Mutex<Option<T>>, value: T) {
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

#[async_trait]
impl Module for WebSocketHub {
    fn name(&self) -> &'static str {
        "hub"
    }

    fn section(&self) -> Section {
        Section::of::<Settings>()
    }

    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError> {
        let limits = Limits::new(context.settings()?)?;
        let document = asyncapi::document(&context.catalog, &limits.settings, &context.about);
        let connections = Arc::new(Connections::default());
        let (commands, waiting) = mpsc::channel(COMMANDS);
        let hub = Arc::new(Hub {
            catalog: context.catalog.clone(),
            store: context.store.clone(),
            bus: context.bus.clone(),
            sessions: context.sessions.clone(),
            is_sole_writer: context.is_sole_writer,
            clock: context.clock.clone(),
            random: context.random.clone(),
            limits,
            origins: context.origins.clone(),
            changed: Arc::new(Changed::new(connections.clone())),
            connections,
            commands,
            couriers: (0..couriers()).map(|_| Arc::default()).collect(),
            next: AtomicUsize::new(0),
        });
        Self::put(&self.waiting, waiting);
        let twice = |_| SetupError::new("the hub is set up twice");
        self.hub.set(hub.clone()).map_err(twice)?;
        let endpoint: BoxEndpoint<'static, _> = Handshake(hub).boxed();
        let document = serde_json::to_string_pretty(&document)
            .map_err(|error| SetupError::caused("the AsyncAPI document", error))?
            + "\n";
        Ok(Contribution {
            routes: vec![
                Route {
                    path: "/ws".into(),
                    endpoint,
                },
                served_text::fixed("/asyncapi.json", "application/json", document.clone()),
            ],
            openapi: vec![openapi::fragment()],
            asyncapi: Some(document.into()),
            ..Contribution::default()
        })
    }

    async fn start(&self) -> Result<(), SetupError> {
        if let (Some(hub), Some(waiting)) = (self.hub.get(), Self::take(&self.waiting)) {
            hub.sessions.watch(hub.changed.clone());
            let mut couriers = self.couriers.lock().unwrap_or_else(PoisonError::into_inner);
            for courier in &hub.couriers {
                couriers.spawn(courier.clone().run());
            }
            drop(couriers);
            let dispatcher = Dispatcher::new(hub.clone(), waiting);
            Self::put(&self.dispatcher, tokio::spawn(dispatcher.run()));
        }
        Ok(())
    }

    /// Everybody is told to connect again, elsewhere or later.
    async fn drain(&self) {
        let Some(hub) = self.hub.get() else {
            return;
        };
        for connection in hub.connections.all() {
            connection.close(Close::Stopping);
        }
    }

    async fn stop(&self) {
        let Some(hub) = self.hub.get() else {
            return;
        };
        // Some may have come after the others were told to go.
        self.drain().await;
        if tokio::time::timeout(GOODBYE, hub.connections.none_left())
            .await
            .is_err()
        {
            tracing::warn!(
                left = hub.connections.count(),
                "connections did not end in time"
            );
        }
        if hub.commands.send(Command::Stop).await.is_ok()
            && let Some(dispatcher) = Self::take(&self.dispatcher)
            && let Err(error) = dispatcher.await
        {
            tracing::error!(%error, "the dispatcher");
        }
        let couriers =
            std::mem::take(&mut *self.couriers.lock().unwrap_or_else(PoisonError::into_inner));
        // They wait for calls that do not come any more.
        drop(couriers);
    }
}

/// One for each processor: each of them writes to its part of the connections.
fn couriers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
