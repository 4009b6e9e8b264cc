//! How the server is reached.

use std::{path::PathBuf, time::Duration};

use sqlx::postgres::PgConnectOptions;

use crate::migrate::AtStart;

/// How PostgreSQL is reached and used.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// What the server calls these connections in its own views and logs.
    pub application_name: String,
    /// Connections that read: this many are kept, and at most this many are opened.
    pub readers: (u32, u32),
    /// Connections that write, each with a batch of its own under way.
    pub writers: u32,
    /// How long connecting may take.
    pub connect_limit: Duration,
    /// How long a read may wait for a connection.
    pub acquire_limit: Duration,
    /// How long one statement may take.
    pub statement_limit: Duration,
    /// How long a connection beyond those that are kept stays open unused.
    pub idle_limit: Duration,
    /// Whether connections are encrypted; what the address says where nothing is given.
    pub tls: Option<Tls>,
    /// Certificates that the server's may be signed by, beside those of the system.
    pub tls_root: Option<PathBuf>,
    /// Whether there is a recent tier, for which is noted what is written.
    pub outbox: bool,
    /// What happens at start where the schema differs from the collections.
    pub at_start: AtStart,
    /// The folder of its migrations; it need not be there.
    pub migrations: PathBuf,
}

/// Whether a text can be the address of a database.
pub fn is_postgres_address(text: &str) -> bool {
    let scheme = ["postgres://", "postgresql://"];
    scheme.iter().any(|scheme| text.starts_with(scheme)) && text.parse::<PgConnectOptions>().is_ok()
}

/// Whether connections are encrypted, and what is checked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Off,
    /// Where the server offers it.
    Prefer,
    /// Always; whose certificate it is, is not checked.
    Require,
    /// Always, with a certificate that is signed by somebody who is trusted.
    VerifyCa,
    /// The same, and made out to the host that was asked for.
    VerifyFull,
}
