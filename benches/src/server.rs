//! A running server: started on a free port, watched, and stopped whatever happens.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, write_request};
use crate::interrupt::Interrupt;
use crate::peer::Program;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often a starting server is asked; the resolution of the start-up time.
const ASK_EVERY: Duration = Duration::from_micros(500);

/// A server that serves.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From starting the process to its first answer with status 200.
    pub startup: Duration,
}

impl Server {
    /// Starts `peer` on the folder `data` and waits until it answers.
    pub fn start(peer: &dyn Program, data: &Path, interrupt: &Interrupt) -> Result<Self> {
        // The port is free again when the listener is dropped; nobody else is told of it.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log = data.join("server.log");
        let output = File::create(&log)?;
        let mut command = peer.command(data, port);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        // Its own group: ctrl-c reaches this program alone, which then stops the server in order.
        command.process_group(0);
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", peer.name()))?;
        let mut server = Self {
            child,
            address,
            startup: Duration::ZERO,
        };
        let mut request = Vec::new();
        write_request(&mut request, "GET", peer.ready_path(), None, b"")?;
        interrupt
            .wait_for(
                &format!("the start of {}", peer.name()),
                START_LIMIT,
                ASK_EVERY,
                || {
                    if let Some(status) = server.child.try_wait()? {
                        bail!("it ended with {status}");
                    }
                    Ok(answers(address, &request).then_some(()))
                },
            )
            .with_context(|| {
                format!(
                    "{} did not start; its log ends:\n{}",
                    peer.name(),
                    tail(&log)
                )
            })?;
        server.startup = started.elapsed();
        Ok(server)
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end and waits until it has; an error when it does not.
    pub fn stop(mut self) -> Result<()> {
        self.terminate()
    }

    fn terminate(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        // Deliberately deaf to ctrl-c: this is what ctrl-c waits for.
        let deadline = Instant::now() + STOP_LIMIT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
                bail!(
                    "process {} ignored SIGTERM for {STOP_LIMIT:?} and was killed",
                    self.pid()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.terminate() {
            eprintln!("stopping a server: {error:#}");
        }
    }
}

/// Whether the server answers `request` with 200; refusals are expected while it starts.
fn answers(address: SocketAddr, request: &[u8]) -> bool {
    Client::connect(address, Duration::from_secs(5))
        .and_then(|mut client| client.exchange(request))
        .is_ok_and(|(status, _)| status == 200)
}

fn tail(log: &PathBuf) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
