//! What a server says of itself, and whether it can hold the cache.

use std::collections::HashMap;

use nubo_core::{Error, Result};
use redis::Value;

use super::failure::{unavailable, unexpected};

/// The first version whose scripts say what they do.
const VERSION: u32 = 7;

/// What `INFO` tells of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub run_id: String,
    /// Bytes that it holds, for whomever.
    pub used: u64,
    /// Bytes that it may hold; 0 where nobody has said.
    pub most: u64,
    version: String,
    role: String,
    policy: String,
    /// Whether it is one of a cluster.
    pub is_cluster: bool,
    is_loading: bool,
}

impl Server {
    /// # Errors
    /// Where something is missing.
    pub fn read(info: &str) -> Result<Self> {
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        let entries: HashMap<&str, &str> = lines.collect();
        let text = |name: &str| -> Result<String> {
            let found = entries.get(name).map(|text| (*text).to_owned());
            found.ok_or_else(|| Error::internal(format!("Redis does not tell its {name}")))
        };
        let number = |name: &str| text(name)?.parse().map_err(Error::internal);
        Ok(Self {
            run_id: text("run_id")?,
            used: number("used_memory")?,
            most: number("maxmemory")?,
            version: text("redis_version")?,
            role: text("role")?,
            policy: text("maxmemory_policy")?,
            is_cluster: entries.get("cluster_enabled") == Some(&"1"),
            is_loading: entries.get("loading") == Some(&"1"),
        })
    }

    /// # Errors
    /// Where it cannot hold the cache, with what is to be changed.
    pub fn check(&self) -> Result<()> {
        let major = self.version.split('.').next();
        let major: u32 = major.and_then(|text| text.parse().ok()).unwrap_or(0);
        if major < VERSION {
            return Err(unavailable(format!(
                "the cache needs Redis {VERSION}.0 or later, and this is {}",
                self.version
            )));
        }
        if self.role != "master" {
            return Err(not_a_master());
        }
        if self.policy != "noeviction" {
            return Err(unavailable(format!(
                "Redis would throw out what the cache relies on: set `maxmemory-policy noeviction` \
                 there instead of `{}`; the cache makes room by itself",
                self.policy
            )));
        }
        if self.is_loading {
            return Err(unavailable("Redis is still loading its data"));
        }
        Ok(())
    }
}

/// Checks the answer to `ROLE`.
///
/// # Errors
/// Where the server has become a replica.
pub(super) fn check_role(answers: &[Value]) -> Result<()> {
    let [Value::Array(role)] = answers else {
        return Err(unexpected("its role"));
    };
    match role.first() {
        Some(Value::BulkString(role)) if role == b"master" => Ok(()),
        Some(Value::BulkString(_)) => Err(not_a_master()),
        _ => Err(unexpected("its role")),
    }
}

fn not_a_master() -> Error {
    unavailable("this Redis is a replica, which cannot be written to: give the URL of its master")
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n\r\n# Memory\r\n\
        used_memory:1000\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\
        # Replication\r\nrole:master\r\nloading:0\r\ncluster_enabled:0\r\n";

    #[test]
    fn a_server_that_fits_is_taken() {
        let server = Server::read(INFO).unwrap();
        assert_eq!(
            (&server.run_id[..], server.used, server.most),
            ("abc", 1000, 0)
        );
        server.check().unwrap();
    }

    #[test]
    fn who_runs_another_server_is_told_what_to_change() {
        for (there, instead, told) in [
            ("7.0.15", "6.2.14", "7.0 or later"),
            ("7.0.15", "odd", "7.0 or later"),
            (
                "noeviction",
                "allkeys-lru",
                "set `maxmemory-policy noeviction`",
            ),
            ("role:master", "role:slave", "give the URL of its master"),
            ("loading:0", "loading:1", "still loading"),
        ] {
            let server = Server::read(&INFO.replace(there, instead)).unwrap();
            let error = server.check().unwrap_err();
            assert_eq!(error.code(), "cache_unavailable");
            assert!(error.to_string().contains(told), "{error}");
        }
        assert!(Server::read("# Server\r\nredis_version:7.0.15\r\n").is_err());
    }
}
