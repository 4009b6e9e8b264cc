//! Programs that are run to their end, and where things lie.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::interrupt::Interrupt;

/// The workspace's root.
pub fn workspace() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Cargo's target folder.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Runs a program to its end, within `limit`; its output goes to this program's error output,
/// so that the table stays alone on standard output.
pub fn run(mut command: Command, limit: Duration, interrupt: &Interrupt) -> Result<()> {
    let what = format!("`{}`", command.get_program().to_string_lossy());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .with_context(|| format!("cannot run {what}"))?;
    let ended = interrupt.wait_for(&what, limit, Duration::from_millis(20), || {
        Ok(child.try_wait()?)
    });
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{what} failed: {status}"),
        Err(error) => {
            child
                .kill()
                .with_context(|| format!("cannot stop {what}"))?;
            child.wait()?;
            Err(error)
        }
    }
}
