//! Nubo, as this workspace builds it. Everything about its command line is in this file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use super::{Names, Peer, Program, Routes};
use crate::client::{Client, write_request};
use crate::dataset::{Dataset, uuid};
use crate::external::{run, target_dir, workspace};
use crate::interrupt::Interrupt;

/// Operations per request to the bulk route; the most it takes.
const BULK: usize = 1_000;
/// Names the binary to measure.
const BINARY: &str = "NUBO_BENCH_NUBO";
const BUILD_LIMIT: Duration = Duration::from_secs(45 * 60);

/// The server binary and how it is called.
pub struct Nubo {
    binary: PathBuf,
    /// Seen from the workspace's root.
    config: &'static str,
    /// Settings beyond the configuration's, as environment variables.
    environment: Vec<(String, String)>,
}

impl Nubo {
    /// Takes the binary named by `NUBO_BENCH_NUBO`, else builds the workspace's.
    pub fn obtain(interrupt: &Interrupt) -> Result<Self> {
        Self::with_config("benches/nubo.yaml", interrupt)
    }

    /// The same with a configuration of its own.
    pub fn with_config(config: &'static str, interrupt: &Interrupt) -> Result<Self> {
        if let Some(binary) = std::env::var_os(BINARY) {
            return Ok(Self {
                binary: binary.into(),
                config,
                environment: Vec::new(),
            });
        }
        let mut build = Command::new("cargo");
        build
            .args(["build", "--release", "--bin", "nubo"])
            .current_dir(workspace());
        run(build, BUILD_LIMIT, interrupt)?;
        let binary = target_dir().join("release/nubo");
        ensure!(binary.is_file(), "cargo built no {}", binary.display());
        Ok(Self {
            binary,
            config,
            environment: Vec::new(),
        })
    }

    /// The same with another setting.
    pub fn with_environment(mut self, (name, value): (&str, &str)) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Creates `count` documents, each of which `write` appends as JSON to the buffer it gets.
pub fn load(
    address: SocketAddr,
    collection: &str,
    count: usize,
    interrupt: &Interrupt,
    write: impl Fn(&mut Vec<u8>, usize),
) -> Result<()> {
    let mut client = Client::connect(address, Duration::from_secs(60))?;
    let path = format!("/{collection}/bulk");
    for first in (0..count).step_by(BULK) {
        interrupt.check()?;
        let mut body = b"[".to_vec();
        for index in first..count.min(first + BULK) {
            if index > first {
                body.push(b',');
            }
            body.extend_from_slice(b"{\"create\":");
            write(&mut body, index);
            body.push(b'}');
        }
        body.push(b']');
        let mut request = Vec::new();
        write_request(&mut request, "POST", &path, None, &body)?;
        let (status, answer) = client.exchange(&request).context("bulk load")?;
        let text = String::from_utf8_lossy(&answer);
        ensure!(
            (200..300).contains(&status),
            "the bulk load answered {status}: {text}"
        );
    }
    Ok(())
}

impl Nubo {
    /// A command other than to serve, on the folder `data`.
    pub fn order(&self, data: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(["--config", self.config])
            .args(arguments)
            .current_dir(workspace())
            // Means nothing to the server, which warns of names it does not know.
            .env_remove(BINARY)
            .env("NUBO_DATA", data)
            .envs(self.environment.iter().cloned());
        command
    }
}

impl Program for Nubo {
    fn name(&self) -> &'static str {
        "Nubo"
    }

    fn command(&self, data: &Path, port: u16) -> Command {
        let mut command = self.order(data, &["serve"]);
        command.env("NUBO_SERVER__LISTEN", format!("127.0.0.1:{port}"));
        command
    }

    fn ready_path(&self) -> &'static str {
        "/ping"
    }
}

impl Peer for Nubo {
    fn routes(&self) -> Routes {
        Routes {
            create: "/messages",
            read: "/messages/{}",
            list: "/messages?filter=%7B%22conversation_id%22%3A%22{}%22%7D&limit=20",
        }
    }

    fn names(&self) -> Names {
        Names {
            list: "data",
            created: "created_at",
        }
    }

    fn initialize(&self, _data: &Path, _interrupt: &Interrupt) -> Result<()> {
        Ok(())
    }

    /// Nothing to do: the collection is in `benches/collections` and its table appears at start.
    fn define(&self, _client: &mut Client) -> Result<()> {
        Ok(())
    }

    /// A UUID of version 7: milliseconds since 1970 in its upper 48 bits, random below.
    fn id(&self, index: usize, rng: &mut Rng) -> String {
        const JANUARY_2026: u128 = 1_767_225_600_000;
        uuid((JANUARY_2026 + index as u128) << 80 | rng.u128(..) >> 48, 7)
    }

    fn load(
        &self,
        address: SocketAddr,
        dataset: &Dataset,
        ids: &[String],
        interrupt: &Interrupt,
    ) -> Result<()> {
        load(address, "messages", ids.len(), interrupt, |out, index| {
            dataset.write_loaded(out, index, &ids[index]);
        })
    }
}
