//! Takes messages in and works them off, one after the other.

use std::{future::poll_fn, sync::Arc, task::Poll};

use nubo_core::{Error, Result, bus::Event, bus::What, caller::Caller};
use serde_json::{Map, Value as Json};
use tokio::{io::ReadBuf, sync::oneshot};

use super::{
    Connection,
    flood::{Flood, Grant},
    protocol::{Incoming, Protocol},
};
use crate::{
    channels,
    close::Close,
    dispatch::{Command, Wish},
    event, frame,
    hub::Hub,
    request::{self, Op, Request, Subscribe},
};

/// Bytes that are read at once.
const AT_ONCE: usize = 4096;

/// Serves a connection until it ends.
pub(crate) async fn read(hub: Arc<Hub>, connection: Arc<Connection>) {
    let settings = &hub.limits.settings;
    let mut protocol = Protocol::new(settings.max_message);
    let mut flood = Flood::new(settings.max_messages_per_second, hub.clock.micros());
    let close = loop {
        match receive(&connection, &mut protocol).await {
            Ok(true) => connection.is_heard(hub.clock.micros()),
            Ok(false) => break Close::Over,
            Err(close) => break close,
        }
        let worked_off = hub.work_off(&connection, &mut protocol, &mut flood).await;
        if let Some(output) = protocol.take_output() {
            connection.send(output.into());
        }
        if let Err(close) = worked_off {
            break close;
        }
    };
    connection.close(close);
}

/// Waits for bytes; whether there can be more.
async fn receive(connection: &Connection, protocol: &mut Protocol) -> Result<bool, Close> {
    poll_fn(|context| {
        if connection.outbox.poll_closing(context).is_ready() {
            return Poll::Ready(Err(Close::Over));
        }
        // The buffer lives only while something is read: most connections are idle most of the time.
        let mut bytes = [0; AT_ONCE];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut held = connection.stream();
        let Some(stream) = &mut *held else {
            return Poll::Ready(Ok(false));
        };
        stream
            .as_mut()
            .poll_read(context, &mut buffer)
            .map(|read| match read {
                Ok(()) if buffer.filled().is_empty() => Ok(false),
                Ok(()) => {
                    protocol.feed(buffer.filled());
                    Ok(true)
                }
                Err(_) => Ok(false),
            })
    })
    .await
}

impl Hub {
    /// Works off the messages that have come in whole.
    async fn work_off(
        &self,
        connection: &Arc<Connection>,
        protocol: &mut Protocol,
        flood: &mut Flood,
    ) -> Result<(), Close> {
        while let Some(incoming) = protocol.next()? {
            if connection.outbox.is_closing() {
                return Ok(());
            }
            let Incoming::Text(text) = incoming else {
                continue;
            };
            match flood.ask(self.clock.micros()) {
                Grant::Granted => self.take(connection, &text).await,
                Grant::Refused => {
                    let id = request::read(&text).and_then(|request| request.id);
                    let error = Error::TooManyRequests { retry_after: 1 };
                    connection.send(event::refusal(id.as_ref(), &error));
                }
                Grant::Hopeless => return Err(Close::TooMany),
            }
        }
        Ok(())
    }

    /// Works off one message.
    async fn take(&self, connection: &Arc<Connection>, text: &str) {
        let Some(Request { id, op }) = request::read(text) else {
            return self.broadcast(connection, text);
        };
        let answered = match op {
            Ok(op) => self.carry_out(connection, id.as_ref(), op).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(Some(frame)) => connection.send(frame),
            Ok(None) => {}
            Err(error) => {
                if let Error::Internal(cause) = &error {
                    tracing::error!(cause = ?cause, "a message failed");
                }
                connection.send(event::refusal(id.as_ref(), &error));
            }
        }
    }

    /// A text that is no message is for everybody, where that is wanted.
    fn broadcast(&self, connection: &Arc<Connection>, text: &str) {
        if self.limits.settings.broadcast && connection.is_admitted() {
            return self.bus.publish(vec![Event {
                channels: Vec::new(),
                what: What::Broadcast {
                    text: text.into(),
                    from: connection.id,
                },
            }]);
        }
        let error = Error::bad_request("not_a_message", "a message is a JSON object");
        connection.send(event::refusal(None, &error));
    }

    async fn carry_out(
        &self,
        connection: &Arc<Connection>,
        id: Option<&Json>,
        op: Op,
    ) -> Result<Option<frame::Frame>> {
        if !connection.is_admitted() && !matches!(op, Op::Auth { .. }) {
            return Err(Error::missing_token());
        }
        let caller = connection.caller();
        let done = || event::answer(id, Map::new());
        match op {
            Op::Auth { token } => {
                let signed_in = self.sessions.authenticate(&token).await?;
                self.identify(connection, &caller, signed_in, &token)
                    .await?;
                let mut ok = Map::new();
                let account = connection.caller().account_id();
                ok.insert("account".into(), account.map(|id| id.to_string()).into());
                let expires_at = connection.expires_at();
                ok.insert(
                    "expires_at".into(),
                    expires_at.map(|at| at.to_string()).into(),
                );
                Ok(event::answer(id, ok))
            }
            Op::Subscribe(subscribe) => {
                let wish = self.wish(&caller, subscribe).await?;
                // The dispatcher answers itself, so that the answer comes before the first event.
                let (id, connection) = (id.cloned(), Arc::clone(connection));
                self.order(|reply| Command::Subscribe {
                    connection,
                    id,
                    wish: Box::new(wish),
                    reply,
                })
                .await?;
                Ok(None)
            }
            Op::Unsubscribe { channel } => {
                let channel = channels::resolve(&channel, &caller, &self.catalog)?.channel;
                let connection = connection.id;
                self.order(|reply| Command::Unsubscribe {
                    connection,
                    channel,
                    reply,
                })
                .await?;
                Ok(done())
            }
            Op::Create {
                collection,
                document,
            } => {
                let collection = self.stored(&collection)?;
                let document = self.create(&caller, collection, &document).await?;
                Ok(event::answer_document(id, collection, &document))
            }
            Op::Update {
                collection,
                id: document,
                change,
                revisions,
            } => {
                let collection = self.stored(&collection)?;
                let target = (document, revisions);
                let document = self.update(&caller, collection, target, &change).await?;
                Ok(event::answer_document(id, collection, &document))
            }
            Op::Delete {
                collection,
                id: document,
                revisions,
            } => {
                let collection = self.stored(&collection)?;
                self.delete(&caller, collection, (document, revisions))
                    .await?;
                Ok(done())
            }
            Op::Publish(publish) => {
                self.publish(connection, publish).await?;
                Ok(done())
            }
            Op::Presence { channel } => {
                let resolved = channels::resolve(&channel, &caller, &self.catalog)?;
                channels::check_entry(&resolved, &caller, &*self.store).await?;
                let present = self.bus.present(&resolved.channel).await?;
                let mut ok = Map::new();
                let present: Vec<Json> = present.iter().map(|id| id.to_string().into()).collect();
                ok.insert("present".into(), present.into());
                Ok(event::answer(id, ok))
            }
            Op::Ping => {
                let mut ok = Map::new();
                ok.insert("time".into(), self.clock.now().to_string().into());
                Ok(event::answer(id, ok))
            }
        }
    }

    /// Somebody has shown a new token.
    async fn identify(
        &self,
        connection: &Arc<Connection>,
        caller: &Caller,
        signed_in: nubo_core::sessions::SignedIn,
        token: &str,
    ) -> Result<()> {
        let account = signed_in.caller.account_id();
        if caller.account_id().is_some() && caller.account_id() != account {
            return Err(Error::Forbidden {
                code: "other_account",
                detail: "the token is another account's; open a connection of its own".into(),
            });
        }
        if caller.account_id().is_none() {
            self.connections
                .check_account(account, &self.limits.settings)?;
        }
        connection.identify(signed_in, token);
        self.connections.note_account(connection);
        let connection = Arc::clone(connection);
        self.order(|reply| Command::Identified { connection, reply })
            .await
    }

    /// What somebody wants to listen to, checked.
    async fn wish(&self, caller: &Caller, subscribe: Subscribe) -> Result<Wish> {
        let resolved = channels::resolve(&subscribe.channel, caller, &self.catalog)?;
        channels::check_entry(&resolved, caller, &*self.store).await?;
        Wish::new(resolved, subscribe, caller, &self.catalog, self.clock.now())
    }

    /// Gives the dispatcher an order and waits until it is carried out.
    pub(crate) async fn order(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command,
    ) -> Result<()> {
        let stopping = || Error::unavailable("stopping", "the server stops");
        let (reply, replied) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| stopping())?;
        replied.await.map_err(|_| stopping())?
    }
}
