//! What goes wrong with Redis, as those are told of it who ask the cache.

use nubo_core::{Error, Result};
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

/// What every failure of the cache is to those who ask it.
pub(super) fn unavailable(detail: impl Into<String>) -> Error {
    Error::unavailable("cache_unavailable", detail)
}

/// An answer that is none of those that the command has.
pub(super) fn unexpected(what: &str) -> Error {
    Error::internal(format!("Redis has answered something else than {what}"))
}

pub(super) fn late() -> Error {
    unavailable("Redis does not answer in time")
}

pub(super) fn failed(error: &RedisError) -> Error {
    // What exactly it was may tell of addresses and accounts.
    tracing::debug!(%error, "Redis has failed");
    match error.kind() {
        _ if error.is_timeout() => late(),
        ErrorKind::AuthenticationFailed => not_let_in(),
        ErrorKind::Io => unavailable("the connection to Redis is broken"),
        _ => refused(error.code().unwrap_or(error.category())),
    }
}

fn refused(code: &str) -> Error {
    match code {
        "NOEPOCH" => unavailable("what Redis held is gone"),
        "FENCED" => unavailable("this instance is fenced"),
        "NOAUTH" | "WRONGPASS" => not_let_in(),
        "MOVED" | "ASK" | "TRYAGAIN" => has_moved(),
        "CLUSTERDOWN" => unavailable("the Redis cluster misses a server that has slots"),
        code => unavailable(format!("Redis refuses: {code}")),
    }
}

fn not_let_in() -> Error {
    unavailable("Redis does not let this server in: check the account and the password in the URL")
}

pub(super) fn answered(answer: Value) -> Result<Value> {
    match answer {
        Value::ServerError(error) => {
            tracing::debug!(%error, "Redis has refused a command");
            Err(refused(error.code()))
        }
        answer => Ok(answer),
    }
}

pub(super) fn is_unknown_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

pub(super) fn has_moved() -> Error {
    unavailable("slots of the Redis cluster have moved, or its servers do not agree yet")
}
