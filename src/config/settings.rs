//! The settings of `nubo.yaml` that belong to no module.
//!
//! The comments here are the users' documentation: they go into the JSON Schema that editors show.
//! [`Default`] says what holds where nothing is written.

mod recent;

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::recent::{MongodbSettings, RecentDriver, RecentSettings};
use super::values::{BasePath, ByteSize, ListenAddress, Network, TimeSpan};

/// Configuration of a Nubo server. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Nubo configuration")]
pub struct Settings {
    /// Where and how the server answers.
    pub server: ServerSettings,
    /// Folder for everything the server keeps. A path in a file is relative to that file, a path
    /// from the environment or a flag to the working directory.
    pub data: PathBuf,
    /// Folder whose `*.yaml` files each declare one collection.
    pub collections_dir: PathBuf,
    /// What the server says while it runs.
    pub log: LogSettings,
    /// Where documents are held.
    pub tiers: TierSettings,
    /// Modules switched on (`true`, which is what holds where nothing is said) or off (`false`).
    pub modules: BTreeMap<String, bool>,
}

impl Settings {
    /// The keys of `nubo.yaml` that no module can have for its section.
    pub const KEYS: &[&str] = &[
        "server",
        "data",
        "collections_dir",
        "collections",
        "log",
        "tiers",
        "modules",
    ];
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: ServerSettings::default(),
            data: "./data".into(),
            collections_dir: "collections".into(),
            log: LogSettings::default(),
            tiers: TierSettings::default(),
            modules: BTreeMap::new(),
        }
    }
}

/// Where and how the server answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port to listen on. `0.0.0.0:8080` is reachable from other machines. The
    /// environment variable `PORT` replaces the port.
    pub listen: ListenAddress,
    /// Prefix of every route, for example `/api`.
    pub base_path: BasePath,
    /// How long a connection is kept that has no request under way, and how long the head of a
    /// request may take. Longer than what a load balancer in front keeps idle connections for, so
    /// that it is never the server that closes one just as it is used.
    pub idle_timeout: TimeSpan,
    /// How long requests that are under way may still take when the server is told to stop.
    pub shutdown_grace: TimeSpan,
    /// Largest body of a request; larger ones get 413.
    pub body_limit: ByteSize,
    /// Whether answers are compressed for clients that ask for it.
    pub compression: bool,
    /// Which web pages of other origins may use the API.
    pub cors: CorsSettings,
    /// Proxies whose `X-Forwarded-For` is believed: addresses or networks such as `10.0.0.0/8`.
    /// Where none is named, a request comes from wherever its connection does.
    pub trusted_proxies: Vec<Network>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: ListenAddress(([127, 0, 0, 1], 8080).into()),
            base_path: BasePath::default(),
            idle_timeout: TimeSpan(Duration::from_secs(75)),
            shutdown_grace: TimeSpan(Duration::from_secs(5)),
            body_limit: ByteSize(1 << 20),
            compression: true,
            cors: CorsSettings::default(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// Which web pages of other origins may use the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CorsSettings {
    /// Origins such as `https://app.example.org`, or `*` for all. Empty: none but the server's own.
    pub origins: Vec<String>,
}

/// What the server says while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// What is worth a line.
    pub level: LogLevel,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// What is worth a line in the log; each level includes those before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What has failed.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// What helps to find a mistake in a configuration.
    Debug,
    /// What helps to find a mistake in the server.
    Trace,
}

impl LogLevel {
    /// The level's name, as it is written and as tracing reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Where documents are held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TierSettings {
    /// The cache: what is read often, as ready answers. Which collections it has is said by
    /// `tiers.cache` in their files.
    pub cache: CacheSettings,
    /// The recent tier: what was created or used of late. Which collections it has is said by
    /// `tiers.recent` in their files.
    pub recent: RecentSettings,
    /// The truth: it holds everything and enforces what is declared.
    pub truth: TruthSettings,
}

/// The cache: what is read often, as ready answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// What holds it.
    pub driver: CacheDriver,
    /// Most memory that it takes. `0B`: half of what the machine or its container has.
    pub max_memory: ByteSize,
    /// Memory that stays free for everything else: where less is available, the cache gives some
    /// up, whatever `max_memory` says. Looked at every two seconds.
    pub margin: ByteSize,
    /// Redis, which several servers share.
    pub redis: RedisSettings,
}

impl TierSettings {
    /// What holds the cache, `auto` resolved.
    pub fn cache_driver(&self) -> CacheDriver {
        let has_address = self.cache.redis.url.is_some();
        match (self.cache.driver, self.truth.driver) {
            (CacheDriver::Auto, TruthDriver::Sqlite) => CacheDriver::Memory,
            (CacheDriver::Auto, TruthDriver::Postgres) if has_address => CacheDriver::Redis,
            (CacheDriver::Auto, TruthDriver::Postgres) => CacheDriver::None,
            (driver, _) => driver,
        }
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            driver: CacheDriver::default(),
            max_memory: ByteSize(0),
            margin: ByteSize(200 << 20),
            redis: RedisSettings::default(),
        }
    }
}

/// A Redis server or cluster, version 7 or later, with `maxmemory-policy noeviction`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// Where it is: `redis://user:password@host:6379/0`, encrypted `rediss://…`, or `host:6379`.
    /// Of a cluster any server, or several: `redis://user:password@host:6379,other:6379`. REDIS_ADDR
    /// in the environment sets it as well, which keeps the password out of files.
    #[schemars(extend("format" = "password"))]
    pub url: Option<String>,
    /// What the names of all keys begin with. Servers with the same one share everything.
    #[schemars(length(min = 1, max = 64))]
    pub prefix: String,
    /// How long a command may take. Where one that must not fail takes longer, the cache is switched
    /// off on all servers until Redis is well again.
    pub timeout: TimeSpan,
    /// Memory of this server that lists may take which were read often. Redis is asked each time
    /// whether anything may have changed, and sends them only if so. `0B`: none are kept.
    pub lists: ByteSize,
    /// Memory of this server that documents may take which were read often. Redis is asked each time
    /// whether anything has changed, and sends only what has. `0B`: none are kept.
    pub documents: ByteSize,
}

impl RedisSettings {
    /// The address as a URL.
    pub fn address(&self) -> Option<String> {
        let url = self.url.as_ref()?;
        Some(match url.contains("://") {
            true => url.clone(),
            false => format!("redis://{url}"),
        })
    }
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: None,
            prefix: "nubo:".into(),
            timeout: TimeSpan(Duration::from_millis(200)),
            lists: ByteSize(32 << 20),
            documents: ByteSize(64 << 20),
        }
    }
}

impl fmt::Debug for RedisSettings {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings").finish_non_exhaustive()
    }
}

/// What can hold the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheDriver {
    /// The server's own memory on SQLite. On PostgreSQL Redis, where its address is given, else
    /// nothing.
    #[default]
    Auto,
    /// The server's own memory. Right as long as everything is written through this one server.
    Memory,
    /// Redis, shared by all servers on the same PostgreSQL database.
    Redis,
    /// Nothing: every read goes to the truth.
    None,
}

/// The truth: it holds everything and enforces what is declared.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TruthSettings {
    /// What holds it.
    pub driver: TruthDriver,
    /// SQLite: connections that read at the same time.
    #[schemars(range(min = 1, max = 256))]
    pub readers: u32,
    /// PostgreSQL: the database, as `postgres://user:password@host:5432/database`. DATABASE_URL in
    /// the environment sets it as well, which keeps the password out of files.
    #[schemars(extend("format" = "password"))]
    pub url: Option<String>,
    /// PostgreSQL: how many connections there are.
    pub pool: PoolSettings,
    /// PostgreSQL: how long things may take.
    pub limits: LimitSettings,
    /// PostgreSQL: whether connections are encrypted.
    pub tls: TlsSettings,
    /// What collections with `write: behind` have acknowledged and is not carried out yet.
    pub queue: QueueSettings,
    /// PostgreSQL: what the database calls this server in its views and logs.
    #[schemars(length(min = 1, max = 63))]
    pub application_name: String,
    /// What the server does at start where the database differs from the collections. Where nothing
    /// is said: `auto` with SQLite, `check` with PostgreSQL.
    pub migrate: Option<MigrateMode>,
    /// The folder of the migrations, with a folder in it for each driver.
    #[schemars(extend("format" = "path"))]
    pub migrations: PathBuf,
}

/// What a server does at start where the database differs from the collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MigrateMode {
    /// It makes every change by itself that loses nothing.
    Auto,
    /// It sets an empty database up, and otherwise does not start before `nubo migrate up` has
    /// brought what is missing.
    Check,
}

impl Default for TruthSettings {
    fn default() -> Self {
        Self {
            driver: TruthDriver::default(),
            readers: 4,
            url: None,
            pool: PoolSettings::default(),
            limits: LimitSettings::default(),
            tls: TlsSettings::default(),
            queue: QueueSettings::default(),
            application_name: "nubo".into(),
            migrate: None,
            migrations: "migrations".into(),
        }
    }
}

impl fmt::Debug for TruthSettings {
    /// Without the address, which holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TruthSettings")
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

/// What can hold the truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TruthDriver {
    /// SQLite, in a file in the data folder.
    #[default]
    Sqlite,
    /// PostgreSQL 15 or later.
    Postgres,
}

/// How many connections there are to the database. The database must allow the sum of `max` and
/// `writers` for each server beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// Connections that read: so many stay open.
    #[schemars(range(min = 1, max = 1000))]
    pub min: u32,
    /// Connections that read: at most so many are opened.
    #[schemars(range(min = 1, max = 1000))]
    pub max: u32,
    /// Connections that write. Each commits what waits in one go, so that a few are enough.
    #[schemars(range(min = 1, max = 64))]
    pub writers: u32,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            min: 2,
            max: 16,
            writers: 3,
        }
    }
}

/// How long the database may take for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Opening a connection.
    pub connect: TimeSpan,
    /// Waiting for a connection that is free.
    pub acquire: TimeSpan,
    /// One statement.
    pub statement: TimeSpan,
    /// How long connections beyond `pool.min` stay open when nobody needs them.
    pub idle: TimeSpan,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let seconds = |count| TimeSpan(Duration::from_secs(count));
        Self {
            connect: seconds(5),
            acquire: seconds(5),
            statement: seconds(10),
            idle: seconds(600),
        }
    }
}

/// What collections with `write: behind` have acknowledged and is not carried out yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// How many writes may wait, about. What comes beyond gets 503 `queue_full`.
    #[schemars(range(min = 1))]
    pub most: u32,
    /// How long a request waits for what is queued. Then it gets 503 `writes_pending`.
    pub patience: TimeSpan,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            most: 100_000,
            patience: TimeSpan(Duration::from_secs(5)),
        }
    }
}

/// Whether connections to the database are encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// What is demanded. Where nothing is said, what the address says (`?sslmode=`), else `prefer`.
    pub mode: Option<TlsMode>,
    /// A file with certificates that the database's may be signed by, beside those of the system.
    /// With `verify-ca` and `verify-full` alone.
    #[schemars(extend("format" = "path"))]
    pub root: Option<PathBuf>,
}

/// What is demanded of the encryption of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// None.
    Disable,
    /// Where the database offers it.
    Prefer,
    /// Always, whosever certificate it is.
    Require,
    /// Always, with a certificate that somebody has signed who is trusted.
    VerifyCa,
    /// The same, made out to the host in the address.
    VerifyFull,
}
