//! Opening connections, and making sure that the server behind them will do.

use std::{path::PathBuf, time::Duration};

use nubo_core::module::SetupError;
use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, Row,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{
    encryption,
    settings::{PostgresSettings, Tls},
};

/// The oldest version that will do: 15.0.
const OLDEST: u32 = 150_000;
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 256;
/// How long a transaction may stand still before the server takes it back: longer than any pause
/// between two statements of one, and short enough that its locks do not stay.
const STANDSTILL: Duration = Duration::from_secs(30);

/// What every connection begins with.
const BEGINNING: &str = "SELECT set_config('nubo.hand', 'own', false), \
    CASE WHEN current_setting('synchronous_commit') = 'off' \
    THEN set_config('synchronous_commit', 'on', false) END";

/// Opens connections that are all alike.
#[derive(Clone)]
pub(super) struct Connector {
    options: PgConnectOptions,
    root: Option<PathBuf>,
    limit: Duration,
}

impl Connector {
    /// Reads the settings.
    ///
    /// # Errors
    /// When the address or the certificates cannot be read.
    pub fn new(settings: &PostgresSettings) -> Result<Self, SetupError> {
        let options: PgConnectOptions = settings.url.parse().map_err(|_| {
            // The cause may repeat the address, and with it the password.
            SetupError::new(
                "the address of the database cannot be read; it must be such as \
                 postgres://user:password@host:5432/database",
            )
        })?;
        let millis = |duration: Duration| duration.as_millis().to_string();
        let mut options = options
            .application_name(&settings.application_name)
            .statement_cache_capacity(STATEMENTS)
            .options([
                ("statement_timeout", millis(settings.statement_limit)),
                ("idle_in_transaction_session_timeout", millis(STANDSTILL)),
                // What the writer relies on, whatever the database has set.
                ("default_transaction_isolation", "read committed".into()),
                ("default_transaction_read_only", "off".into()),
                ("bytea_output", "hex".into()),
                // Pages and documents by id: compiling takes longer than running.
                ("jit", "off".into()),
            ])
            .disable_statement_logging();
        if let Some(tls) = settings.tls {
            options = options.ssl_mode(match tls {
                Tls::Off => PgSslMode::Disable,
                Tls::Prefer => PgSslMode::Prefer,
                Tls::Require => PgSslMode::Require,
                Tls::VerifyCa => PgSslMode::VerifyCa,
                Tls::VerifyFull => PgSslMode::VerifyFull,
            });
        }
        if let Some(root) = &settings.tls_root {
            encryption::check_root(root)?;
            let mode = options.get_ssl_mode();
            if !matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
                return Err(encryption::unused_root(root));
            }
            options = options.ssl_root_cert(root);
        }
        Ok(Self {
            options,
            root: settings.tls_root.clone(),
            limit: settings.connect_limit,
        })
    }

    /// Where it leads, without secrets.
    pub fn address(&self) -> String {
        let host = match self.options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => self.options.get_host().to_owned(),
        };
        format!(
            "{}@{host}:{}/{}",
            self.options.get_username(),
            self.options.get_port(),
            self.options.get_database().unwrap_or_default()
        )
    }

    /// What to say of a connection that did not come about.
    pub fn cannot_connect(&self, error: sqlx::Error) -> SetupError {
        let mut words = format!("cannot connect to the database {}", self.address());
        let host = self.options.get_host();
        if let Some(blame) = encryption::blame(&error, host, self.root.as_deref()) {
            words.push_str(": ");
            words.push_str(&blame);
        }
        SetupError::caused(words, error)
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let connecting = async {
            let mut connection = self.options.connect().await?;
            // What is written here is not noted as somebody else's. As a statement rather than with
            // the other options, because a pooler may keep those to itself.
            //
            // Acknowledged means durable. Settings that promise more than that stay.
            connection.execute(BEGINNING).await?;
            Ok(connection)
        };
        match tokio::time::timeout(self.limit, connecting).await {
            Ok(result) => result,
            Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "connecting took too long",
            ))),
        }
    }
}

/// Makes sure that the database is one that this server can use.
pub(super) async fn check(connection: &mut PgConnection, address: &str) -> Result<(), SetupError> {
    let failed = |error: sqlx::Error| {
        SetupError::caused(format!("cannot use the database {address}"), error)
    };
    let version = connection.server_version_num().unwrap_or_default();
    if version < OLDEST {
        return Err(SetupError::new(format!(
            "the database {address} is PostgreSQL {}.{}; version {} or later is needed",
            version / 10_000,
            version % 10_000,
            OLDEST / 10_000
        )));
    }
    let row = connection
        .fetch_one(
            "SELECT current_setting('server_encoding'), pg_is_in_recovery()::text, \
             current_setting('fsync'), current_setting('full_page_writes')",
        )
        .await
        .map_err(failed)?;
    let setting = |index: usize| row.try_get::<String, _>(index).map_err(failed);
    let encoding = setting(0)?;
    if encoding != "UTF8" {
        return Err(SetupError::new(format!(
            "the database {address} is encoded in {encoding}; create it with ENCODING 'UTF8'"
        )));
    }
    if setting(1)? == "true" {
        return Err(SetupError::new(format!(
            "the database {address} is a standby, which takes no writes"
        )));
    }
    if setting(2)? == "off" || setting(3)? == "off" {
        tracing::warn!(
            "the database runs without fsync or full_page_writes: \
             what was acknowledged may be lost when the machine fails"
        );
    }
    Ok(())
}

/// Closes a connection and says so where that fails; the server notices by itself as well.
pub(super) async fn close(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a database connection did not close cleanly");
    }
}
