//! Orders to a server from its own command line.
//!
//! An embedded store belongs to one process. So that `nubo users`, `nubo cache` and `nubo dlq` work
//! while the server runs, the server listens on a Unix socket in its data folder, which only the user that runs it can open;
//! whoever can read the data folder can do everything anyway. A connection carries one order, a
//! line of JSON, and its answer, another one. Without a server the same orders are carried out by
//! the command line itself, on the store it opens.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

mod dead_letters;

pub use dead_letters::DeadLetterOrder;

use nubo_auth::Accounts;
use nubo_core::{
    Error,
    bus::{Bus, Event, What},
    cache::Cache,
    document::Document,
    error::Problem,
    schema::{Catalog, Collection},
};
use nubo_sync::Behind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

/// Longest order or answer, in bytes.
const MAX_LINE: u64 = 16 << 20;
/// Most accounts that are listed.
const MAX_LISTED: u32 = 1000;
/// Longest time that one order takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be ordered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Accounts(AccountOrder),
    Cache(CacheOrder),
    DeadLetters(DeadLetterOrder),
}

/// What can be ordered of accounts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountOrder {
    /// A new account.
    Create {
        fields: Map<String, Json>,
        roles: Vec<String>,
    },
    /// The roles of an account, in place of those it has.
    SetRoles { account: String, roles: Vec<String> },
    /// The password of an account. Ends its sessions.
    SetPassword { account: String, password: String },
    /// The sessions of an account that are live.
    Sessions { account: String },
    /// The end of a session, or of all.
    Revoke {
        account: String,
        session: Option<String>,
    },
    /// The newest accounts.
    List,
    /// The end of an account's WebSocket connections. It may connect again.
    Kick { account: String },
}

/// What can be ordered of the cache.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheOrder {
    /// What it has done and holds, by collection.
    Statistics,
    /// Forget what it holds.
    Clear,
}

/// What orders are carried out with.
#[derive(Clone)]
pub struct Administration {
    /// None where the configuration has no accounts.
    pub accounts: Option<Arc<Accounts>>,
    pub bus: Arc<dyn Bus>,
    /// None where nothing is cached.
    pub cache: Option<Arc<dyn Cache>>,
    pub catalog: Arc<Catalog>,
    /// None where nothing can be queued.
    pub behind: Option<Arc<Behind>>,
}

/// What is said where the configuration has no accounts.
pub const NO_ACCOUNTS: &str = "there are no accounts: see `auth.accounts` in the configuration";

impl Administration {
    /// Carries out an order.
    ///
    /// # Errors
    /// Where the accounts refuse it (see [`Accounts`]), or there is no cache.
    pub async fn execute(&self, order: Order) -> Result<Json, Error> {
        match order {
            Order::Accounts(order) => self.execute_on_accounts(order).await,
            Order::Cache(CacheOrder::Statistics) => self.statistics(),
            Order::Cache(CacheOrder::Clear) => {
                self.cache()?.clear().await?;
                Ok(Json::Null)
            }
            Order::DeadLetters(order) => self.execute_on_dead_letters(order).await,
        }
    }

    async fn execute_on_accounts(&self, order: AccountOrder) -> Result<Json, Error> {
        let none = || Error::bad_request("no_accounts", NO_ACCOUNTS);
        let accounts = self.accounts.as_ref().ok_or_else(none)?;
        let account =
            |document: &Document| shown(accounts.collection(), &accounts.listed_fields(), document);
        Ok(match order {
            AccountOrder::Create { fields, roles } => {
                account(&accounts.create(fields, roles).await?)
            }
            AccountOrder::SetRoles { account: of, roles } => {
                account(&accounts.set_roles(&of, roles).await?)
            }
            AccountOrder::SetPassword { account, password } => {
                accounts.set_password(&account, &password).await?;
                Json::Null
            }
            AccountOrder::Sessions { account } => {
                let collection = accounts.sessions_collection();
                // All of them are of one account, and live.
                let said = [collection.updated_at(), collection.revision()];
                let mut fields = collection.sent_fields().to_vec();
                fields.retain(|field| !said.contains(field) && Some(*field) != collection.owner);
                let sessions = accounts.sessions(&account).await?;
                let rows = sessions
                    .iter()
                    .map(|session| shown(collection, &fields, session));
                rows.collect()
            }
            AccountOrder::Revoke { account, session } => {
                let session = session.as_deref().map(Collection::read_id).transpose()?;
                json!({ "revoked": accounts.revoke(&account, session).await? })
            }
            AccountOrder::List => {
                let listed = accounts.list(MAX_LISTED).await?;
                listed.iter().map(account).collect()
            }
            AccountOrder::Kick { account } => {
                let account = accounts.existing(&account).await?;
                self.bus.publish(vec![Event {
                    channels: Vec::new(),
                    what: What::Kicked { account },
                }]);
                Json::Null
            }
        })
    }

    fn cache(&self) -> Result<&Arc<dyn Cache>, Error> {
        let none = || Error::bad_request("no_cache", "tiers.cache.driver is `none`");
        self.cache.as_ref().ok_or_else(none)
    }

    /// A row for each collection that is cached, and what all of it takes.
    fn statistics(&self) -> Result<Json, Error> {
        let statistics = self.cache()?.statistics();
        let collections = self.catalog.collections().iter();
        let rows = collections
            .zip(&statistics.collections)
            .filter_map(|(collection, row)| {
                let mut row = serde_json::to_value((*row)?).ok()?;
                row.as_object_mut()?.shift_insert(
                    0,
                    "collection".into(),
                    collection.name.as_str().into(),
                );
                Some(row)
            });
        Ok(json!({
            "budget": statistics.budget,
            "bytes": statistics.bytes,
            "collections": rows.collect::<Vec<_>>(),
        }))
    }
}

/// Some fields of a document, as they are sent.
fn shown(collection: &Collection, fields: &[usize], document: &Document) -> Json {
    let mut json = Vec::new();
    document.write_fields(collection, fields, &mut json);
    serde_json::from_slice(&json).unwrap_or_default()
}

/// The socket while the server runs.
pub struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Listens in the data folder, which the caller has locked: a socket that is there is left
    /// over.
    ///
    /// # Errors
    /// Where the socket cannot be made, as in a folder whose path is longer than sockets allow.
    pub fn start(data: &Path, administration: Administration) -> io::Result<Self> {
        let path = socket(data);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // Connecting takes the right to write, which others do not have under any usual umask
        // either.
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
        let task = tokio::spawn(serve(listener, administration));
        Ok(Self { path, task })
    }

    /// Stops listening. An order that is being carried out is finished by the store.
    pub async fn stop(self) {
        self.task.abort();
        if let Err(error) = self.task.await
            && !error.is_cancelled()
        {
            tracing::error!(%error, "the control socket has failed");
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket stays behind");
        }
    }
}

/// Gives an order to the server that runs on a data folder.
///
/// # Errors
/// Where none runs there ([`io::ErrorKind::NotFound`] or `ConnectionRefused`), or the connection
/// fails. What the server answers is the inner result: its error is a problem document.
pub async fn order(data: &Path, order: &Order) -> io::Result<Result<Json, Json>> {
    let stream = UnixStream::connect(socket(data)).await?;
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    let mut answer = String::new();
    let mut reader = BufReader::new(reader.take(MAX_LINE));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut answer)).await??;
    let mut answer: Map<String, Json> = serde_json::from_str(&answer)?;
    match answer.remove("error") {
        Some(problem) => Ok(Err(problem)),
        None => Ok(Ok(answer.remove("ok").unwrap_or_default())),
    }
}

fn socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}

async fn serve(listener: UnixListener, administration: Administration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let administration = administration.clone();
                    connections.spawn(async move {
                        let answered = tokio::time::timeout(PATIENCE, answer(stream, &administration));
                        if let Ok(Err(error)) = answered.await {
                            tracing::debug!(%error, "an order was not answered");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an order could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(stream: UnixStream, administration: &Administration) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(MAX_LINE));
    reader.read_line(&mut line).await?;
    let result = match serde_json::from_str(&line) {
        Ok(order) => administration.execute(order).await,
        Err(error) => Err(Error::bad_request("invalid_order", error.to_string())),
    };
    let answer = match &result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": problem(error) }),
    };
    writer.write_all(format!("{answer}\n").as_bytes()).await
}

/// A refusal as the command line shows it, whoever carried the order out.
pub fn problem(error: &Error) -> Json {
    if let Error::Internal(cause) = error {
        tracing::error!(?cause, "an order failed");
    }
    let problem: Problem<'_> = error.problem();
    serde_json::to_value(problem).unwrap_or_default()
}
