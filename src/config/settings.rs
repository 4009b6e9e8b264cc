//! The settings of `nubo.yaml` that belong to no module.
//!
//! The comments here are the users' documentation: they go into the JSON Schema that editors show.
//! [`Default`] says what holds where nothing is written.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            driver: CacheDriver::default(),
            max_memory: ByteSize(0),
            margin: ByteSize(200 << 20),
        }
    }
}

/// What can hold the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheDriver {
    /// The server's own memory.
    #[default]
    Memory,
    /// Nothing: every read goes to the truth.
    None,
}

/// The truth: it holds everything and enforces what is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TruthSettings {
    /// What holds it.
    pub driver: TruthDriver,
    /// Connections that read at the same time.
    #[schemars(range(min = 1, max = 256))]
    pub readers: u32,
}

impl Default for TruthSettings {
    fn default() -> Self {
        Self {
            driver: TruthDriver::default(),
            readers: 4,
        }
    }
}

/// What can hold the truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TruthDriver {
    /// SQLite, in a file in the data folder.
    #[default]
    Sqlite,
}
