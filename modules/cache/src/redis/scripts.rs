//! The scripts that do in one step what must not be seen half done.
//!
//! Each is a file in `scripts/` that says what it does, what it takes and what it returns;
//! `library.lua` stands in front of all that belong to the cache.

use std::sync::LazyLock;

use redis::Cmd;

use super::link::Command;
use crate::{
    claims::{MOST_CLAIMS, MOST_PENDING},
    sets::{KEPT, MOST},
};

/// How long a fill token is there, in milliseconds. A document that takes longer to be read is not
/// held.
const FILL_TIME: u32 = 60_000;
/// The same for build tokens.
const BUILD_TIME: u32 = 60_000;
/// How many build tokens a set has at most. Older ones go.
const BUILDS: u32 = 64;

/// How many keys one call has, about: some hundred documents.
pub(super) const MOST_KEYS: usize = 400;
/// How many bytes, about.
const MOST_BYTES: usize = 1 << 20;

/// A script, and the name under which servers know it.
pub(super) struct Script {
    text: String,
    hash: String,
}

/// All scripts. They are the same for every server.
pub(super) struct Scripts {
    pub read: Script,
    pub fill: Script,
    pub record: Script,
    pub announce: Script,
    pub enter: Script,
    pub settle: Script,
    pub leave: Script,
    pub abort: Script,
    pub withdraw: Script,
    pub scan: Script,
    pub begin: Script,
    pub build: Script,
    pub drop: Script,
    pub forget: Script,
    pub fence: Script,
    pub claim: Script,
    pub arrived: Script,
    pub begin_lists: Script,
    pub open_lists: Script,
    pub under_way: Script,
    pub pending: Script,
    pub pending_among: Script,
    pub take_token: Script,
    pub give_back_token: Script,
}

pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    read: Script::new(include_str!("scripts/read.lua")),
    fill: Script::new(include_str!("scripts/fill.lua")),
    record: Script::new(include_str!("scripts/record.lua")),
    announce: Script::new(include_str!("scripts/announce.lua")),
    enter: Script::new(include_str!("scripts/enter.lua")),
    settle: Script::new(include_str!("scripts/settle.lua")),
    leave: Script::new(include_str!("scripts/leave.lua")),
    abort: Script::new(include_str!("scripts/abort.lua")),
    withdraw: Script::new(include_str!("scripts/withdraw.lua")),
    scan: Script::new(include_str!("scripts/scan.lua")),
    begin: Script::new(include_str!("scripts/begin.lua")),
    build: Script::new(include_str!("scripts/build.lua")),
    drop: Script::new(include_str!("scripts/drop.lua")),
    forget: Script::new(include_str!("scripts/forget.lua")),
    fence: Script::new(include_str!("scripts/fence.lua")),
    claim: Script::new(include_str!("scripts/claim.lua")),
    arrived: Script::new(include_str!("scripts/arrived.lua")),
    begin_lists: Script::new(include_str!("scripts/begin_lists.lua")),
    open_lists: Script::new(include_str!("scripts/open_lists.lua")),
    under_way: Script::new(include_str!("scripts/under_way.lua")),
    pending: Script::new(include_str!("scripts/pending.lua")),
    pending_among: Script::new(include_str!("scripts/pending_among.lua")),
    take_token: Script::alone(include_str!("scripts/take_token.lua").to_owned()),
    give_back_token: Script::alone(include_str!("scripts/give_back_token.lua").to_owned()),
});

impl Script {
    /// A script with the library behind its first line, which tells Redis how it may be run.
    fn new(text: &str) -> Self {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let library = include_str!("scripts/library.lua");
        let text = format!(
            "{first}\n\
             local KEPT, MOST = {KEPT}, {MOST}\n\
             local MOST_PENDING, MOST_CLAIMS = {MOST_PENDING}, {MOST_CLAIMS}\n\
             local FILL_TIME, BUILD_TIME, BUILDS = {FILL_TIME}, {BUILD_TIME}, {BUILDS}\n\
             {library}\n{rest}"
        );
        Self::alone(text)
    }

    /// A script as it stands.
    fn alone(text: String) -> Self {
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

impl Scripts {
    /// What makes them known to a server.
    pub fn load(&self) -> Vec<Cmd> {
        let all = [
            &self.read,
            &self.fill,
            &self.record,
            &self.announce,
            &self.enter,
            &self.settle,
            &self.leave,
            &self.abort,
            &self.withdraw,
            &self.scan,
            &self.begin,
            &self.build,
            &self.drop,
            &self.forget,
            &self.fence,
            &self.claim,
            &self.arrived,
            &self.begin_lists,
            &self.open_lists,
            &self.under_way,
            &self.pending,
            &self.pending_among,
            &self.take_token,
            &self.give_back_token,
        ];
        let load = |script: &Script| {
            let mut command = redis::cmd("SCRIPT");
            command.arg("LOAD").arg(&script.text);
            command
        };
        all.into_iter().map(load).collect()
    }
}

/// What a script is called with.
pub(super) struct Call {
    script: &'static Script,
    /// Where all of its keys lie on a cluster.
    slot: u16,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    bytes: usize,
}

impl Call {
    pub fn new(script: &'static Script, slot: u16) -> Self {
        Self {
            script,
            slot,
            keys: Vec::new(),
            arguments: Vec::new(),
            bytes: 0,
        }
    }

    pub fn key(&mut self, key: Vec<u8>) -> &mut Self {
        self.bytes += key.len();
        self.keys.push(key);
        self
    }

    pub fn keys(&mut self, keys: impl IntoIterator<Item = Vec<u8>>) -> &mut Self {
        for key in keys {
            self.key(key);
        }
        self
    }

    pub fn argument(&mut self, argument: impl Into<Vec<u8>>) -> &mut Self {
        let argument = argument.into();
        self.bytes += argument.len();
        self.arguments.push(argument);
        self
    }

    pub fn number(&mut self, number: impl ToString) -> &mut Self {
        self.argument(number.to_string())
    }

    /// Whether it is as much as a server should do without looking at anything else, which is a few
    /// milliseconds' work.
    pub fn is_full(&self) -> bool {
        self.keys.len() >= MOST_KEYS || self.bytes >= MOST_BYTES
    }

    pub fn command(&self) -> Command {
        let mut command = Cmd::with_capacity(
            3 + self.keys.len() + self.arguments.len(),
            self.script.hash.len() + self.bytes,
        );
        command
            .arg("EVALSHA")
            .arg(&self.script.hash)
            .arg(self.keys.len());
        for part in self.keys.iter().chain(&self.arguments) {
            command.arg(&part[..]);
        }
        Command::new(command, self.slot, self.keys.len() + self.arguments.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_begin_with_what_redis_asks_for() {
        assert!(SCRIPTS.read.text.starts_with("#!lua\n"));
        assert!(SCRIPTS.scan.text.starts_with("#!lua flags=no-writes\n"));
        assert!(SCRIPTS.settle.text.starts_with("#!lua flags=allow-oom\n"));
    }
}
