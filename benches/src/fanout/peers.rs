//! The servers that fan out, and how each is spoken to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::socket::Socket;
use crate::accounts::{Account, sign_up};
use crate::interrupt::Interrupt;
use crate::peer::{Node, Nubo, Program};

/// A server in one of its ways of fanning out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Messages that are not stored, as with the others.
    Nubo,
    /// Messages that are stored, with fsync, before they are told.
    NuboStored,
    Ws,
    SocketIo,
    Bare,
}

impl Kind {
    pub const fn title(self) -> &'static str {
        match self {
            Self::Nubo => "Nubo",
            Self::NuboStored => "Nubo, stored",
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
            Self::Bare => "bare loop",
        }
    }
}

/// A kind that is ready to be started.
pub struct Target {
    pub kind: Kind,
    program: Box<dyn Program>,
}

impl Target {
    /// Builds or installs what is needed.
    pub fn obtain(kind: Kind, interrupt: &Interrupt) -> Result<Self> {
        let program: Box<dyn Program> = match kind {
            Kind::Nubo | Kind::NuboStored => {
                Box::new(Nubo::with_config("benches/fanout/nubo.yaml", interrupt)?)
            }
            Kind::Ws => Box::new(Node::install("ws", interrupt)?),
            Kind::SocketIo => Box::new(Node::install("socketio", interrupt)?),
            Kind::Bare => Box::new(Bare(std::env::current_exe()?)),
        };
        Ok(Self { kind, program })
    }

    pub fn program(&self) -> &dyn Program {
        &*self.program
    }

    /// Somebody who may connect.
    pub fn account(&self, address: SocketAddr) -> Result<Option<Account>> {
        match self.kind {
            Kind::Nubo | Kind::NuboStored => {
                let mut accounts = sign_up(address, 1)?;
                Ok(accounts.pop())
            }
            _ => Ok(None),
        }
    }

    /// A connection that hears what is said in a room.
    pub fn subscribe(
        &self,
        address: SocketAddr,
        account: Option<&Account>,
        room: &str,
    ) -> Result<Socket> {
        let mut socket = self.connect(address, account, room, false)?;
        let channel = match self.kind {
            Kind::Nubo => format!("beat:{room}"),
            Kind::NuboStored => format!("tick:{room}"),
            _ => return Ok(socket),
        };
        socket.send(&format!(
            "{{\"id\":1,\"op\":\"subscribe\",\"channel\":\"{channel}\"}}"
        ))?;
        let answer = socket.receive()?;
        ensure!(answer.contains("\"ok\""), "no subscription: {answer}");
        Ok(socket)
    }

    /// A connection that says things in a room.
    pub fn publisher(
        &self,
        address: SocketAddr,
        account: Option<&Account>,
        room: &str,
    ) -> Result<Socket> {
        self.connect(address, account, room, true)
    }

    fn connect(
        &self,
        address: SocketAddr,
        account: Option<&Account>,
        room: &str,
        publishes: bool,
    ) -> Result<Socket> {
        match self.kind {
            Kind::Nubo | Kind::NuboStored => {
                let account = account.context("an account")?;
                let header = format!("authorization: {}\r\n", account.authorization);
                let mut socket = Socket::connect(address, "/ws", &header)?;
                let welcome = socket.receive()?;
                ensure!(welcome.contains("welcome"), "no welcome: {welcome}");
                Ok(socket)
            }
            Kind::Ws => Socket::connect(address, &format!("/?room={room}"), ""),
            Kind::SocketIo => {
                let path = format!("/socket.io/?EIO=4&transport=websocket&room={room}");
                let mut socket = Socket::connect(address, &path, "")?;
                let open = socket.receive()?;
                ensure!(open.starts_with('0'), "no session: {open}");
                socket.send("40")?;
                let joined = socket.receive()?;
                ensure!(joined.starts_with("40"), "not connected: {joined}");
                Ok(socket)
            }
            Kind::Bare => {
                let path = if publishes { "/publish" } else { "/" };
                Socket::connect(address, path, "")
            }
        }
    }

    /// A message for a room: when it was said, its number, and what fills it up, so that what
    /// arrives is of the same length everywhere.
    pub fn message(&self, room: &str, at: u64, number: u64, size: usize) -> String {
        let body = |filler: usize| {
            let pad = "x".repeat(filler);
            format!("{{\"room\":\"{room}\",\"t\":{at},\"n\":{number},\"pad\":\"{pad}\"}}")
        };
        // Around it arrive channel, position, collection and more.
        let envelope = match self.kind {
            Kind::Nubo => 125,
            Kind::NuboStored => 380,
            Kind::Ws | Kind::Bare => 0,
            Kind::SocketIo => 9,
        };
        let filler = size.saturating_sub(envelope + body(0).len());
        let body = body(filler);
        match self.kind {
            Kind::Nubo => {
                format!("{{\"op\":\"publish\",\"collection\":\"beats\",\"document\":{body}}}")
            }
            Kind::NuboStored => {
                format!("{{\"op\":\"create\",\"collection\":\"ticks\",\"document\":{body}}}")
            }
            Kind::Ws | Kind::Bare => body,
            Kind::SocketIo => format!("42[\"m\",{}]", Value::from(body)),
        }
    }
}

/// This program, as the bare loop.
struct Bare(PathBuf);

impl Program for Bare {
    fn name(&self) -> &'static str {
        "the bare loop"
    }

    fn command(&self, _data: &Path, port: u16) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("bare-fanout").arg(port.to_string());
        command
    }

    fn ready_path(&self) -> &'static str {
        "/ready"
    }
}
