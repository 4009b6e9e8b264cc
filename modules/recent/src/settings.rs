//! How a MongoDB server is used.

use std::{fmt, time::Duration};

/// How the recent tier uses MongoDB.
#[derive(Clone)]
pub struct MongoSettings {
    /// Where it is: `mongodb://` or `mongodb+srv://`, with account and options.
    pub uri: String,
    /// The database. Others are never touched.
    pub database: String,
    /// What the server calls us in its logs.
    pub application_name: String,
    /// How many connections stay open, and how many there are at most.
    pub pool: (u32, u32),
    /// How long a connection stays open that nobody needs.
    pub idle_limit: Duration,
    /// How long to look for a server that can answer.
    pub selection_limit: Duration,
    /// How long opening a connection may take.
    pub connect_limit: Duration,
    /// How long one command may take. One that writes takes 10 s at most.
    pub command_limit: Duration,
    /// How long a read may take. What is not answered by then is asked of the truth.
    pub read_limit: Duration,
}

impl fmt::Debug for MongoSettings {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoSettings")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// Whether a MongoDB server can be found by this address.
pub fn is_mongo_address(uri: &str) -> bool {
    mongodb::options::ConnectionString::parse(uri).is_ok()
}
