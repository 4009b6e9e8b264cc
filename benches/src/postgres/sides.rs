//! The two servers that keep their messages in PostgreSQL: Nubo, and what one writes by hand.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::interrupt::Interrupt;
use crate::peer::{Node, Nubo, Peer, Program, Routes};

/// A server and where its messages are.
pub enum Side {
    /// With its name here, and where PostgreSQL is.
    Nubo(Nubo, &'static str, String),
    Fastify(Node, String, String),
}

impl Side {
    /// Nubo, with its messages in a database.
    pub fn nubo(url: &str, interrupt: &Interrupt) -> Result<Self> {
        let nubo = Nubo::obtain(interrupt)?;
        Ok(Self::Nubo(nubo, "Nubo", url.to_owned()))
    }

    /// The same with its cache in Redis.
    pub fn nubo_with_redis(url: &str, redis: &str, interrupt: &Interrupt) -> Result<Self> {
        let nubo = Nubo::obtain(interrupt)?.with_environment(("REDIS_ADDR", redis));
        Ok(Self::Nubo(nubo, "Nubo + Redis", url.to_owned()))
    }

    /// Fastify and `pg`, with their messages in the same table.
    pub fn fastify(url: &str, table: &str, interrupt: &Interrupt) -> Result<Self> {
        let node = Node::install("fastify", interrupt)?;
        Ok(Self::Fastify(node, url.to_owned(), table.to_owned()))
    }

    /// The measured requests.
    pub fn routes(&self) -> Routes {
        match self {
            Self::Nubo(nubo, ..) => nubo.routes(),
            Self::Fastify(..) => Routes {
                create: "/messages",
                read: "/messages/{}",
                list: "/messages?conversation_id={}",
            },
        }
    }

    /// A command of Nubo's, other than to serve.
    pub fn order(&self, data: &Path, arguments: &[&str]) -> Option<Command> {
        let Self::Nubo(nubo, _, url) = self else {
            return None;
        };
        let mut command = nubo.order(data, arguments);
        command.envs(environment(url));
        Some(command)
    }
}

fn environment(url: &str) -> [(&'static str, &str); 2] {
    [
        ("NUBO_TIERS__TRUTH__DRIVER", "postgres"),
        ("DATABASE_URL", url),
    ]
}

impl Program for Side {
    fn name(&self) -> &'static str {
        match self {
            Self::Nubo(_, name, _) => name,
            Self::Fastify(..) => "fastify + pg",
        }
    }

    fn command(&self, data: &Path, port: u16) -> Command {
        match self {
            Self::Nubo(nubo, _, url) => {
                let mut command = nubo.command(data, port);
                command.envs(environment(url));
                command
            }
            Self::Fastify(node, url, table) => {
                let mut command = node.command(data, port);
                command.env("DATABASE_URL", url).env("BENCH_TABLE", table);
                command
            }
        }
    }

    fn ready_path(&self) -> &'static str {
        match self {
            Self::Nubo(nubo, ..) => nubo.ready_path(),
            Self::Fastify(node, ..) => node.ready_path(),
        }
    }
}
