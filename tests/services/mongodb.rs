//! MongoDB for tests: a database of its own for each test.
//!
//! `NUBO_TEST_MONGO_URL` names a server; otherwise one is started in a temporary folder, once for
//! each test program, and ends with it: MongoDB's own where it is installed, else one that speaks its
//! protocol. Tests that stop and start the server have a [`Server`] to themselves.

#![allow(dead_code, clippy::unwrap_used)]

// A program has it with each of the services that it needs.
#[allow(clippy::duplicate_mod)]
#[path = "port.rs"]
mod port;

use std::{
    io::Write,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The server that tests share, by its address.
static SHARED: OnceLock<(String, Option<Server>)> = OnceLock::new();
/// How many databases this program has named.
static DATABASES: AtomicU32 = AtomicU32::new(0);

const NEEDED: &str = "tests need MongoDB 6 or later: install `mongod`, or what takes its place with \
    scripts/test-tools, or name a server in NUBO_TEST_MONGO_URL";

/// What may hold documents, the best first.
const PROGRAMS: [&str; 3] = ["mongod", "secantusd-rs", "secantusd-py"];

/// The address of the server that tests share.
pub fn shared() -> &'static str {
    let (url, _) = SHARED.get_or_init(|| match std::env::var("NUBO_TEST_MONGO_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Server::start();
            (server.url(), Some(server))
        }
    });
    url
}

/// The name of a database that nobody else has. There is nothing in it.
pub fn unused_name() -> String {
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("nubo_test_{now}_{}_{number}", std::process::id())
}

/// A server in a folder of its own, on a free port of this machine.
pub struct Server {
    folder: PathBuf,
    port: u16,
    running: Option<Child>,
}

impl Server {
    /// Makes one and starts it.
    pub fn start() -> Self {
        let port = port::free();
        let folder = std::env::temp_dir().join(format!("nubo-mongo-{}-{port}", std::process::id()));
        std::fs::create_dir_all(folder.join("data")).unwrap();
        let mut server = Self {
            folder,
            port,
            running: None,
        };
        server.resume();
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/", self.port)
    }

    /// On which port of this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it again, and waits until it listens.
    pub fn resume(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let program = program();
        let data = self.folder.join("data");
        // The shell ends the server when this program has ended, however that came about.
        let script = "\"$@\" & server=$!; read signal keep; \
                      kill -${signal:-KILL} $server 2>/dev/null; wait $server; \
                      [ -n \"$keep\" ] || rm -rf \"$FOLDER\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(&program);
        match program.ends_with("mongod") {
            true => shell
                .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--dbpath"])
                .arg(data),
            false => shell
                .args(["--host", "127.0.0.1", "--storage-path"])
                .arg(data),
        };
        shell.args(["--port", &self.port.to_string()]);
        shell.env("FOLDER", &self.folder).current_dir(&self.folder);
        shell.stdin(Stdio::piped()).stdout(log.try_clone().unwrap());
        self.running = Some(shell.stderr(log).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "the server does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it. What it holds stays.
    pub fn stop(&mut self) {
        self.end("TERM");
    }

    /// Ends it as a power cut would. What it holds stays.
    pub fn kill(&mut self) {
        self.end("KILL");
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut shell) = self.running.take() {
            let mut orders = shell.stdin.take().unwrap();
            writeln!(orders, "{signal} keep").unwrap();
            shell.wait().unwrap();
        }
    }

    /// Stops it, keeps a copy of what it holds in place of the last one, and starts it again.
    pub fn save(&mut self) {
        self.stop();
        self.copy("data", "saved");
        self.resume();
    }

    /// Ends it and starts it again with what it held when that was saved.
    pub fn resume_saved(&mut self) {
        self.kill();
        self.copy("saved", "data");
        self.resume();
    }

    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.folder.join(from), self.folder.join(to));
        if to.exists() {
            std::fs::remove_dir_all(&to).unwrap();
        }
        let copied = Command::new("cp").arg("-a").args([from, to]).status();
        assert!(copied.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut shell) = self.running.take() {
            drop(shell.stdin.take());
            shell.wait().ok();
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The best program that is installed, or what scripts/test-tools has installed.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let installed = PROGRAMS
        .iter()
        .flat_map(|name| folders.iter().map(move |at| at.join(name)));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let tools = root.map(|folder| folder.join("target/tools/bin/secantusd-py"));
    installed
        .chain(tools)
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("{NEEDED}"))
}
