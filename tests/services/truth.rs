//! What holds the truth of the servers that tests start: SQLite, or with `NUBO_TEST_TRUTH=postgres`
//! a database of their own in PostgreSQL.

#![allow(dead_code)]

use std::{process::Command, sync::OnceLock};

#[path = "postgres.rs"]
pub mod postgres;

use postgres::Database;

/// The truth of one folder.
#[derive(Default)]
pub struct Truth {
    own: OnceLock<Database>,
    given: Option<String>,
    is_embedded: bool,
}

/// Whether servers keep the truth in PostgreSQL.
pub fn is_postgres() -> bool {
    match std::env::var("NUBO_TEST_TRUTH") {
        Ok(driver) if driver == "postgres" => true,
        Ok(driver) if driver != "sqlite" => panic!("NUBO_TEST_TRUTH is `{driver}`"),
        _ => false,
    }
}

impl Truth {
    /// A database that somebody else takes care of.
    pub fn at(url: &str) -> Self {
        Self {
            given: Some(url.to_owned()),
            ..Self::default()
        }
    }

    /// SQLite, whatever the environment says.
    pub fn embedded() -> Self {
        Self {
            is_embedded: true,
            ..Self::default()
        }
    }

    /// Tells a server, or a command in its folder, what holds the truth.
    pub fn tell(&self, command: &mut Command) {
        let url = match &self.given {
            Some(url) => url,
            None if is_postgres() && !self.is_embedded => &self.own.get_or_init(Database::new).url,
            None => return,
        };
        command.env("DATABASE_URL", url);
        command.env("NUBO_TIERS__TRUTH__DRIVER", "postgres");
        // As embedded: what tests change between two starts follows by itself.
        command.env("NUBO_TIERS__TRUTH__MIGRATE", "auto");
        // Many servers run beside each other.
        command.env("NUBO_TIERS__TRUTH__POOL__MIN", "1");
        command.env("NUBO_TIERS__TRUTH__POOL__MAX", "4");
        command.env("NUBO_TIERS__TRUTH__POOL__WRITERS", "2");
    }
}
