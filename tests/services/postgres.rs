//! PostgreSQL for tests: a database of its own for each test.
//!
//! `NUBO_TEST_POSTGRES_URL` names a server whose user may create databases; otherwise one is
//! started in a temporary folder, once for each test program, and ends with it. Tests that stop and
//! start the server have a [`Server`] to themselves.

#![allow(dead_code, clippy::unwrap_used)]

// A program has it with each of the services that it needs.
#[allow(clippy::duplicate_mod)]
#[path = "port.rs"]
mod port;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
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
/// How many databases this program has made.
static DATABASES: AtomicU32 = AtomicU32::new(0);

const NEEDED: &str = "tests need PostgreSQL 15 or later: install the packages `postgresql` and \
    `postgresql-client`, or name a server in NUBO_TEST_POSTGRES_URL";

/// A database that goes when this does.
pub struct Database {
    server: String,
    name: String,
    /// Where it is.
    pub url: String,
}

impl Database {
    /// A new one on the server that tests share.
    pub fn new() -> Self {
        let (server, _) = SHARED.get_or_init(|| match std::env::var("NUBO_TEST_POSTGRES_URL") {
            Ok(url) => (url, None),
            Err(_) => {
                let server = Server::quick();
                (server.url(), Some(server))
            }
        });
        Self::on(server)
    }

    /// A new one on this server, whose address names any database of it.
    pub fn on(server: &str) -> Self {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("nubo_test_{}_{number}", std::process::id());
        // Another program with the same number may have left one behind.
        run_sql(
            server,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        );
        run_sql(
            server,
            &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"),
        );
        let (address, options) = match server.split_once('?') {
            Some((address, options)) => (address, format!("?{options}")),
            None => (server, String::new()),
        };
        let base = address.rsplit_once('/').unwrap().0;
        Self {
            url: format!("{base}/{name}{options}"),
            server: server.to_owned(),
            name,
        }
    }

    /// Throws everything away that is in it.
    pub fn clear(&self) {
        // A case that failed may still be connected.
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        self.sql(
            "DO $$ DECLARE name text; BEGIN \
             FOR name IN SELECT nspname FROM pg_namespace \
             WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' LOOP \
             EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP; END $$",
        );
    }

    /// Executes SQL in it and gives what it finds, a row a line.
    pub fn sql(&self, text: &str) -> String {
        run_sql(&self.url, text)
    }

    /// Executes SQL in a session that stays until the value goes, with the locks that it holds.
    pub fn hold(&self, text: &str) -> Held {
        let mut command = Command::new(program("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        command.args(["--set", "ON_ERROR_STOP=1"]).arg(&self.url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut session = command.spawn().unwrap();
        let statements = format!("{text};\n\\echo held\n");
        let stdin = session.stdin.as_mut().unwrap();
        stdin.write_all(statements.as_bytes()).unwrap();
        stdin.flush().unwrap();
        let mut lines = BufReader::new(session.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"), "{text}");
        Held(session)
    }
}

/// A session that holds locks.
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that a test has stopped takes its databases along.
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        psql(&self.server, &statement).output().ok();
    }
}

fn psql(url: &str, text: &str) -> Command {
    let mut command = Command::new(program("psql"));
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
    command.args(["--set", "ON_ERROR_STOP=1", "--command", text, url]);
    command.env("PGCONNECT_TIMEOUT", "10").stdin(Stdio::null());
    command
}

fn run_sql(url: &str, text: &str) -> String {
    let output = psql(url, text).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A server in a folder of its own, on a free port of this machine.
pub struct Server {
    folder: PathBuf,
    port: u16,
    settings: &'static [&'static str],
    running: Option<Child>,
}

impl Server {
    /// Makes one and starts it.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same for tests that never switch the machine off: writing waits for no disk.
    fn quick() -> Self {
        Self::with(&["fsync=off", "synchronous_commit=on"])
    }

    fn with(settings: &'static [&'static str]) -> Self {
        let port = port::free();
        let folder =
            std::env::temp_dir().join(format!("nubo-postgres-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut server = Self {
            folder,
            port,
            settings,
            running: None,
        };
        give_away(&server.folder);
        let output = server
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync", "--pgdata"])
            .arg(server.data())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "initdb: {errors}");
        server.resume();
        server
    }

    /// Any database of it.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Has it offer encryption from now on, with a certificate and its key in PEM. Who connects
    /// without it may still do so.
    pub fn encrypt(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.data().join(name);
            std::fs::write(&path, text).unwrap();
            // It refuses a key that others may read.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            give_away(&path);
        }
        run_sql(&self.url(), "ALTER SYSTEM SET ssl = on");
        run_sql(&self.url(), "SELECT pg_reload_conf()");
        // Each connection is told what the server had read when it was opened.
        let end = Instant::now() + Duration::from_secs(60);
        while run_sql(&self.url(), "SHOW ssl") != "on" {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "it takes no certificate: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it again, and waits until it answers.
    pub fn resume(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        // The shell ends the server when this program has ended, however that came about.
        let script = "\"$@\" & server=$!; cat >/dev/null; kill -INT $server 2>/dev/null; \
                      wait $server; [ -e keep ] || rm -rf \"$FOLDER\"";
        let postgres = self.command("postgres");
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(postgres.get_program());
        shell.args(postgres.get_args()).arg("-D").arg(self.data());
        for setting in [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".into(),
            format!("unix_socket_directories={}", self.folder.display()),
            "max_connections=200".into(),
            "logging_collector=off".into(),
        ] {
            shell.arg("-c").arg(setting);
        }
        for setting in self.settings {
            shell.args(["-c", setting]);
        }
        shell.env("FOLDER", &self.folder).current_dir(&self.folder);
        shell.stdin(Stdio::piped()).stdout(log.try_clone().unwrap());
        self.running = Some(shell.stderr(log).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(60);
        while !psql(&self.url(), "SELECT 1")
            .output()
            .unwrap()
            .status
            .success()
        {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "the server does not start: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it at once, as a machine does that fails: nothing is finished, nothing is said.
    pub fn crash(&mut self) {
        self.control("immediate");
    }

    /// Stops it in order.
    pub fn stop(&mut self) {
        self.control("fast");
    }

    fn control(&mut self, mode: &str) {
        // The shell keeps the folder.
        std::fs::write(self.folder.join("keep"), "").unwrap();
        let status = self
            .command("pg_ctl")
            .args(["stop", "--wait", "--silent", "--mode", mode, "--pgdata"])
            .arg(self.data())
            .status()
            .unwrap();
        assert!(status.success());
        self.wait();
        std::fs::remove_file(self.folder.join("keep")).unwrap();
    }

    fn wait(&mut self) {
        if let Some(mut shell) = self.running.take() {
            drop(shell.stdin.take());
            shell.wait().ok();
        }
    }

    /// A program of PostgreSQL. It refuses to run as root.
    fn command(&self, name: &str) -> Command {
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
                command.arg(program(name));
                command
            }
            false => Command::new(program(name)),
        };
        command.current_dir(&self.folder);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.wait();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Who runs the server where tests run as root.
const USER: &str = "postgres";

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

/// Gives a file or folder to whoever runs the server.
fn give_away(path: &Path) {
    if is_root() {
        let status = Command::new("chown").arg(USER).arg(path).status();
        assert!(
            status.unwrap().success(),
            "there is no user `{USER}`; {NEEDED}"
        );
    }
}

/// The newest program of this name; Debian keeps the server's out of the path.
fn program(name: &str) -> PathBuf {
    let in_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders
    });
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    let mut folders = versions.into_iter().rev().chain(in_path);
    folders
        .find_map(|folder: PathBuf| Some(folder.join(name)).filter(|path: &PathBuf| exists(path)))
        .unwrap_or_else(|| panic!("there is no `{name}`; {NEEDED}"))
}

fn exists(path: &Path) -> bool {
    path.is_file()
}
