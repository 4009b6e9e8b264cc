//! The section `auth` of `nubo.yaml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who people are and how they prove it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How passwords are hashed.
    pub passwords: PasswordSettings,
}

/// How passwords are hashed: argon2id. The built-in values are those that the OWASP Password
/// Storage Cheat Sheet recommends. Hashes made with other values stay valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordSettings {
    /// Memory that one hash takes, in KiB. More makes guessing costlier, and signing in too.
    #[schemars(range(min = 8, max = 4_194_304))]
    pub memory_kib: u32,
    /// How many times that memory is gone through.
    #[schemars(range(min = 1, max = 1000))]
    pub iterations: u32,
    /// Lanes the memory is divided into.
    #[schemars(range(min = 1, max = 256))]
    pub parallelism: u32,
    /// How many hashes are computed at the same time; 0 for one per processor core.
    #[schemars(range(min = 0, max = 1024))]
    pub concurrency: u32,
    /// How many may wait for their turn. More get 503 and are asked to come back.
    #[schemars(range(min = 0, max = 100_000))]
    pub queue: u32,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            iterations: 2,
            parallelism: 1,
            concurrency: 0,
            queue: 256,
        }
    }
}
