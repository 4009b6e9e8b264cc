//! Servers in Node, written for comparison.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Program;
use crate::external::{run, target_dir, workspace};
use crate::interrupt::Interrupt;

const INSTALL_LIMIT: Duration = Duration::from_secs(300);

/// A server of `benches/peers`, with its packages installed below the target folder.
pub struct Node {
    name: &'static str,
    folder: PathBuf,
}

impl Node {
    /// Copies the server and installs its packages.
    pub fn install(name: &'static str, interrupt: &Interrupt) -> Result<Self> {
        let source = workspace().join("benches/peers").join(name);
        let folder = target_dir().join("bench-peers").join(name);
        fs::create_dir_all(&folder)?;
        for file in ["server.mjs", "package.json", "package-lock.json"] {
            fs::copy(source.join(file), folder.join(file))?;
        }
        let mut install = Command::new("npm");
        install
            .args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"])
            .current_dir(&folder);
        run(install, INSTALL_LIMIT, interrupt)?;
        Ok(Self { name, folder })
    }
}

impl Program for Node {
    fn name(&self) -> &'static str {
        self.name
    }

    fn command(&self, _data: &Path, port: u16) -> Command {
        let mut command = Command::new("node");
        command
            .arg("server.mjs")
            .arg(port.to_string())
            .current_dir(&self.folder)
            .env("NODE_ENV", "production");
        command
    }

    fn ready_path(&self) -> &'static str {
        "/ready"
    }
}
