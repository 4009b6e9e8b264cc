//! Nubo, as this workspace builds it. Everything about its command line is in this file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use super::{Names, Peer, Routes};
use crate::client::{Client, write_request};
use crate::dataset::{Dataset, uuid};
use crate::external::{run, target_dir, workspace};
use crate::interrupt::Interrupt;

/// Operations per request to the bulk route; the most it takes.
const BULK: usize = 1_000;
const BUILD_LIMIT: Duration = Duration::from_secs(45 * 60);

/// The server binary and how it is called.
pub struct Nubo {
    binary: PathBuf,
}

impl Nubo {
    /// Takes the binary named by `NUBO_BENCH_NUBO`, else builds the workspace's.
    pub fn obtain(interrupt: &Interrupt) -> Result<Self> {
        if let Some(binary) = std::env::var_os("NUBO_BENCH_NUBO") {
            return Ok(Self {
                binary: binary.into(),
            });
        }
        let mut build = Command::new("cargo");
        build
            .args(["build", "--release", "--bin", "nubo"])
            .current_dir(workspace());
        run(build, BUILD_LIMIT, interrupt)?;
        let binary = target_dir().join("release/nubo");
        ensure!(binary.is_file(), "cargo built no {}", binary.display());
        Ok(Self { binary })
    }
}

impl Peer for Nubo {
    fn name(&self) -> &'static str {
        "Nubo"
    }

    fn command(&self, data: &Path, port: u16) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(["--config", "benches/nubo.yaml", "serve"])
            .current_dir(workspace())
            .env("NUBO_SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .env("NUBO_DATA", data);
        command
    }

    fn ready_path(&self) -> &'static str {
        "/ping"
    }

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
        let mut client = Client::connect(address, Duration::from_secs(60))?;
        for (chunk, ids) in ids.chunks(BULK).enumerate() {
            interrupt.check()?;
            let mut body = b"[".to_vec();
            for (offset, id) in ids.iter().enumerate() {
                body.extend_from_slice(if offset == 0 {
                    b"{\"create\":"
                } else {
                    b",{\"create\":"
                });
                dataset.write_loaded(&mut body, chunk * BULK + offset, id);
                body.push(b'}');
            }
            body.push(b']');
            let mut request = Vec::new();
            write_request(&mut request, "POST", "/messages/bulk", None, &body)?;
            let (status, answer) = client.exchange(&request).context("bulk load")?;
            let text = String::from_utf8_lossy(&answer);
            ensure!(
                (200..300).contains(&status),
                "the bulk load answered {status}: {text}"
            );
        }
        Ok(())
    }
}
