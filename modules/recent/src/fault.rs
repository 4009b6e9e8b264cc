//! From the driver's errors to the product's.

use mongodb::error::{Error as DriverError, ErrorKind, WriteFailure};
use nubo_core::Error;

/// MongoDB's numbers of errors that this tier meets:
/// <https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml>.
pub(crate) mod code {
    pub const UNAUTHORIZED: i32 = 13;
    pub const AUTHENTICATION_FAILED: i32 = 18;
    pub const ALREADY_INITIALIZED: i32 = 23;
    pub const NAMESPACE_NOT_FOUND: i32 = 26;
    pub const INDEX_NOT_FOUND: i32 = 27;
    pub const MAX_TIME_EXPIRED: i32 = 50;
    pub const DUPLICATE_KEY: i32 = 11000;
}

/// The numbers of what passes: servers that go, step down or cannot reach each other, and operations
/// that were interrupted or gave way to others.
const PASSING: [i32; 18] = [
    6,     // HostUnreachable
    7,     // HostNotFound
    24,    // LockTimeout
    50,    // MaxTimeMSExpired
    63,    // StaleShardVersion
    89,    // NetworkTimeout
    91,    // ShutdownInProgress
    112,   // WriteConflict
    133,   // FailedToSatisfyReadPreference
    189,   // PrimarySteppedDown
    262,   // ExceededTimeLimit
    10107, // NotWritablePrimary
    11600, // InterruptedAtShutdown
    11601, // Interrupted
    11602, // InterruptedDueToReplStateChange
    13388, // StaleConfig
    13435, // NotPrimaryNoSecondaryOk
    13436, // NotPrimaryOrSecondary
];

/// Whether what failed with this number may succeed later as it is.
pub(crate) fn is_passing(number: i32) -> bool {
    PASSING.contains(&number)
}

/// What the database could not do and that is nobody's input: logged, never sent.
pub(crate) fn failure(error: DriverError) -> Error {
    match &*error.kind {
        ErrorKind::Command(command) if command.code == code::MAX_TIME_EXPIRED => too_slow(),
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. } => unreachable(&error),
        // Most servers may have it or not.
        ErrorKind::Write(WriteFailure::WriteConcernError(_)) => unreachable(&error),
        _ if code_of(&error).is_some_and(is_passing) => unreachable(&error),
        _ => Error::internal(error),
    }
}

/// 503 for what takes too long.
pub(crate) fn too_slow() -> Error {
    Error::unavailable("recent_busy", "MongoDB takes too long to answer")
}

/// 503 for what nobody is there to do.
pub(crate) fn gone() -> Error {
    Error::unavailable("recent_unavailable", "MongoDB cannot be reached")
}

/// 503 for what may have been asked of a server that has lost what it had.
pub(crate) fn uncertain() -> Error {
    Error::unavailable(
        "recent_unavailable",
        "it is not certain that MongoDB is what it was",
    )
}

fn unreachable(error: &DriverError) -> Error {
    tracing::debug!(%error, "MongoDB has gone");
    gone()
}

/// The number of what the server refused, where it did.
pub(crate) fn code_of(error: &DriverError) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        _ => None,
    }
}

/// Whether no waiting helps, because this server does not let us in.
pub(crate) fn is_refusal(error: &DriverError) -> bool {
    match &*error.kind {
        ErrorKind::Authentication { .. } | ErrorKind::InvalidTlsConfig { .. } => true,
        _ => matches!(
            code_of(error),
            Some(code::UNAUTHORIZED | code::AUTHENTICATION_FAILED)
        ),
    }
}
