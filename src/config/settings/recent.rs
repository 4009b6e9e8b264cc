//! The settings of the recent tier.

use std::{fmt, time::Duration};

use nubo_core::alone::LASTING;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{problem::Severity, values::TimeSpan};

/// The shortest time after which documents may leave the truth.
const SHORTEST: Duration = Duration::from_secs(2);

/// The recent tier: what was created or used of late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecentSettings {
    /// What holds it.
    pub driver: RecentDriver,
    /// MongoDB, which several servers share.
    pub mongodb: MongodbSettings,
    /// How long MongoDB has had a document of a collection with `truth: none` before PostgreSQL
    /// forgets it. Reading such a document may take half as long. The same on all servers.
    pub leave_after: TimeSpan,
}

impl Default for RecentSettings {
    fn default() -> Self {
        Self {
            driver: RecentDriver::default(),
            mongodb: MongodbSettings::default(),
            leave_after: TimeSpan(LASTING),
        }
    }
}

impl RecentSettings {
    /// What holds the tier, `auto` resolved.
    pub fn resolved(&self) -> RecentDriver {
        match (self.driver, &self.mongodb.uri) {
            (RecentDriver::Auto, Some(_)) => RecentDriver::Mongodb,
            (RecentDriver::Auto, None) => RecentDriver::None,
            (driver, _) => driver,
        }
    }

    /// What a schema cannot say of the settings: which are wrong, and what is to be said of them.
    pub fn examine(&self) -> Vec<(&'static str, Severity, &'static str)> {
        let mongodb = &self.mongodb;
        let mut remarks = Vec::new();
        match (self.driver, &mongodb.uri) {
            (RecentDriver::Mongodb, None) => remarks.push((
                "driver",
                Severity::Error,
                "MongoDB needs an address: set MONGODB_URI in the environment, or `mongodb.uri` here",
            )),
            (RecentDriver::None, Some(_)) => remarks.push((
                "mongodb/uri",
                Severity::Warning,
                "is not used: MongoDB does not hold the recent tier",
            )),
            (_, Some(uri)) if !nubo_recent::is_mongo_address(uri) => remarks.push((
                "mongodb/uri",
                Severity::Error,
                "must be an address such as mongodb://user:password@host:27017/ or mongodb+srv://…",
            )),
            _ => {}
        }
        if self.leave_after.0 < SHORTEST {
            let message = "must be two seconds at least: reading may take half as long";
            remarks.push(("leave_after", Severity::Error, message));
        }
        if mongodb.min_pool_size > mongodb.max_pool_size {
            let message = "must not be more than `max_pool_size`";
            remarks.push(("mongodb/min_pool_size", Severity::Error, message));
        }
        remarks
    }
}

/// What can hold the recent tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecentDriver {
    /// MongoDB, where its address is given, else nothing.
    #[default]
    Auto,
    /// MongoDB.
    Mongodb,
    /// Nothing: the next tier down answers.
    None,
}

/// A MongoDB server, replica set or sharded cluster, version 6 or later.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MongodbSettings {
    /// Where it is: `mongodb://user:password@host:27017/` or `mongodb+srv://…`, with options such as
    /// `?tls=true`. MONGODB_URI in the environment sets it as well, which keeps the password out of
    /// files.
    #[schemars(extend("format" = "password"))]
    pub uri: Option<String>,
    /// The database that the tier has to itself. MONGODB_DATABASE sets it as well.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_-]*$"), length(max = 38))]
    pub database: String,
    /// At most so many connections are opened. MONGODB_MAX_POOL_SIZE sets it as well.
    #[schemars(range(min = 1, max = 1000))]
    pub max_pool_size: u32,
    /// So many connections stay open. MONGODB_MIN_POOL_SIZE sets it as well.
    #[schemars(range(max = 1000))]
    pub min_pool_size: u32,
    /// How long connections beyond those stay open when nobody needs them.
    /// MONGODB_MAX_CONN_IDLE_TIME sets it as well.
    pub max_conn_idle_time: TimeSpan,
    /// How long to look for a server that can answer. MONGODB_SERVER_SELECTION_TIMEOUT sets it as
    /// well.
    pub server_selection_timeout: TimeSpan,
    /// How long one command may take. MONGODB_SOCKET_TIMEOUT sets it as well.
    pub socket_timeout: TimeSpan,
    /// How long one that reads may take; then the truth is asked, which is what a slow answer costs.
    /// MONGODB_READ_TIMEOUT sets it as well.
    pub read_timeout: TimeSpan,
    /// How long opening a connection may take. MONGODB_CONNECT_TIMEOUT sets it as well.
    pub connect_timeout: TimeSpan,
}

impl Default for MongodbSettings {
    fn default() -> Self {
        let seconds = |count| TimeSpan(Duration::from_secs(count));
        Self {
            uri: None,
            database: "nubo_recent".into(),
            max_pool_size: 50,
            min_pool_size: 10,
            max_conn_idle_time: seconds(30),
            server_selection_timeout: seconds(5),
            socket_timeout: seconds(45),
            read_timeout: seconds(1),
            connect_timeout: seconds(10),
        }
    }
}

impl fmt::Debug for MongodbSettings {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongodbSettings")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn remarks(settings: Json) -> Vec<(&'static str, Severity)> {
        let settings: RecentSettings = serde_json::from_value(settings).unwrap();
        let remarks = settings.examine().into_iter();
        remarks
            .map(|(setting, severity, _)| (setting, severity))
            .collect()
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let uri = "mongodb://user:p%40ss@a:27017,b/?replicaSet=r";
        for (settings, expected) in [
            (json!({}), vec![]),
            (json!({ "mongodb": { "uri": uri } }), vec![]),
            (
                json!({ "mongodb": { "uri": "mongodb+srv://cluster.example.org/" } }),
                vec![],
            ),
            (
                json!({ "driver": "mongodb" }),
                vec![("driver", Severity::Error)],
            ),
            (
                json!({ "driver": "none", "mongodb": { "uri": uri } }),
                vec![("mongodb/uri", Severity::Warning)],
            ),
            (
                json!({ "mongodb": { "uri": "localhost:27017" } }),
                vec![("mongodb/uri", Severity::Error)],
            ),
            (
                json!({ "leave_after": "1s" }),
                vec![("leave_after", Severity::Error)],
            ),
            (
                json!({ "mongodb": { "min_pool_size": 60 } }),
                vec![("mongodb/min_pool_size", Severity::Error)],
            ),
        ] {
            assert_eq!(remarks(settings.clone()), expected, "{settings}");
        }
    }

    #[test]
    fn an_address_is_enough() {
        let driver = |settings: Json| {
            let settings: RecentSettings = serde_json::from_value(settings).unwrap();
            settings.resolved()
        };
        assert_eq!(driver(json!({})), RecentDriver::None);
        let uri = json!({ "uri": "mongodb://localhost" });
        assert_eq!(driver(json!({ "mongodb": uri })), RecentDriver::Mongodb);
        assert_eq!(
            driver(json!({ "driver": "none", "mongodb": uri })),
            RecentDriver::None
        );
    }

    #[test]
    fn the_address_is_not_shown() {
        let settings = MongodbSettings {
            uri: Some("mongodb://user:hunter2@host".into()),
            ..MongodbSettings::default()
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
