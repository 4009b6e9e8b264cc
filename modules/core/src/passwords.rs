//! Hashing of passwords.

use async_trait::async_trait;

use crate::error::Result;

/// Turns passwords into hashes that are safe to store, and checks them.
#[async_trait]
pub trait Passwords: Send + Sync + 'static {
    /// Why a password must not be chosen, as a code and in words; none where it may.
    fn refusal(&self, _password: &str) -> Option<(&'static str, String)> {
        None
    }

    /// The hash as a PHC string. Slow by design; 503 when too many wait already.
    async fn hash(&self, password: String) -> Result<String>;

    /// Whether the password is the one that was hashed.
    async fn verify(&self, password: String, hash: String) -> Result<bool>;
}
