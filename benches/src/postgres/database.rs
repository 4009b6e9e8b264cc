//! A PostgreSQL server with fsync on, in a folder of its own, and what is asked of it directly.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::external::workspace;
use crate::interrupt::Interrupt;

/// The variables in which `scripts/services` names the servers.
const URL: &str = "NUBO_TEST_POSTGRES_URL";
const REDIS_URL: &str = "NUBO_TEST_REDIS_URL";
const MONGO_URL: &str = "NUBO_TEST_MONGO_URL";
/// As much as MongoDB would take by itself on a machine of 9 GiB: half of what is left of it without
/// one.
const MONGO_CACHE: &str = "4G";
const LIMIT: Duration = Duration::from_secs(600);

/// A database server; it ends with the value.
pub struct Database {
    folder: PathBuf,
    programs: PathBuf,
    /// Where it is, with the password.
    pub url: String,
    /// Where Redis is, with the password.
    pub redis: String,
    /// Where MongoDB is, or what takes its place.
    pub mongo: Option<String>,
}

impl Database {
    /// Starts a server in a new folder below `root`, which should be on a real disk.
    pub fn start(root: &Path) -> Result<Self> {
        Self::start_beside(root, false)
    }

    /// The same with MongoDB beside it.
    pub fn start_with_mongo(root: &Path) -> Result<Self> {
        Self::start_beside(root, true)
    }

    fn start_beside(root: &Path, has_mongo: bool) -> Result<Self> {
        let folder = root.join("services");
        let started = Command::new("scripts/services")
            .arg("start")
            .arg(&folder)
            .current_dir(workspace())
            .env("NUBO_SERVICES_FSYNC", "on")
            .env("NUBO_SERVICES_MONGO", if has_mongo { "on" } else { "off" })
            .env("NUBO_SERVICES_MONGO_CACHE", MONGO_CACHE)
            .env_remove(URL)
            .env_remove(REDIS_URL)
            .env_remove(MONGO_URL)
            .stderr(Stdio::inherit())
            .output()
            .context("scripts/services")?;
        ensure!(started.status.success(), "PostgreSQL did not start");
        let said = String::from_utf8(started.stdout)?;
        let named = |name: &str| {
            let mut lines = said.lines();
            let found = lines.find_map(|line| {
                let url = line.strip_prefix("export ")?.strip_prefix(name)?;
                url.strip_prefix('=').map(str::to_owned)
            });
            found.with_context(|| format!("scripts/services has set no {name}"))
        };
        Ok(Self {
            folder,
            programs: programs()?,
            url: named(URL)?,
            redis: named(REDIS_URL)?,
            mongo: has_mongo.then(|| named(MONGO_URL)).transpose()?,
        })
    }

    /// The process of a server, by the name of its folder.
    pub fn process(&self, of: &str) -> Result<u32> {
        let file = match of {
            "postgres" => "postgres/data/postmaster.pid".to_owned(),
            other => format!("{other}/pid"),
        };
        let text = std::fs::read_to_string(self.folder.join(file))?;
        Ok(text.lines().next().unwrap_or_default().trim().parse()?)
    }

    /// Sends Redis a signal, such as `STOP`.
    pub fn signal_redis(&self, signal: &str) -> Result<()> {
        self.signal("redis", signal)
    }

    /// Sends a server a signal.
    pub fn signal(&self, of: &str, signal: &str) -> Result<()> {
        let process = self.process(of)?.to_string();
        let status = Command::new("kill")
            .args(["-s", signal, &process])
            .status()?;
        ensure!(status.success(), "kill: {status}");
        Ok(())
    }

    /// One of PostgreSQL's own programs, told of the database.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command
            .stdin(Stdio::null())
            .env("PGOPTIONS", "--client-min-messages=warning");
        command
    }

    /// Executes statements; what they return, without ornament.
    pub fn execute(&self, sql: &str) -> Result<String> {
        let done = self
            .program("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--command", sql])
            .arg(&self.url)
            .output()
            .context("psql")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "psql: {said}");
        Ok(String::from_utf8(done.stdout)?.trim().to_owned())
    }

    /// Copies a CSV file into a table; how long that took.
    pub fn copy(&self, table: &str, columns: &str, file: &Path) -> Result<Duration> {
        let started = Instant::now();
        self.execute(&format!(
            "\\copy {table} ({columns}) FROM '{}' WITH (FORMAT csv)",
            file.display()
        ))?;
        Ok(started.elapsed())
    }

    /// The rate of `pgbench` with a script: transactions per second, and their mean latency in
    /// milliseconds.
    pub fn pgbench(
        &self,
        script: &Path,
        clients: usize,
        span: Duration,
        interrupt: &Interrupt,
    ) -> Result<(f64, f64)> {
        let mut child = self
            .program("pgbench")
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", span.as_secs()))
            .arg(format!("--file={}", script.display()))
            .arg(&self.url)
            .stdout(Stdio::piped())
            .spawn()
            .context("pgbench")?;
        let ended = interrupt.wait_for("pgbench", span + LIMIT, Duration::from_millis(20), || {
            Ok(child.try_wait()?)
        });
        if ended.is_err() {
            child.kill()?;
        }
        let done = child.wait_with_output()?;
        ended?;
        ensure!(done.status.success(), "pgbench failed");
        let said = String::from_utf8(done.stdout)?;
        let number = |name: &str| -> Result<f64> {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            let number =
                line.and_then(|rest| rest.trim_start_matches([' ', '=']).split(' ').next());
            let number = number.with_context(|| format!("pgbench says no {name}: {said}"))?;
            Ok(number.parse()?)
        };
        Ok((number("tps")?, number("latency average")?))
    }

    /// The table of a collection, with its schema.
    pub fn table(&self, name: &str) -> Result<String> {
        let found = self.execute(&format!(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables \
             WHERE tablename = '{name}'"
        ))?;
        ensure!(
            !found.is_empty() && !found.contains('\n'),
            "tables: {found}"
        );
        Ok(found)
    }

    /// Empties a table, and has the server write down what it still holds in memory.
    pub fn empty(&self, table: &str) -> Result<()> {
        self.execute(&format!("TRUNCATE {table}"))?;
        self.execute("CHECKPOINT")?;
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        let status = Command::new("scripts/services")
            .arg("stop")
            .arg(&self.folder)
            .current_dir(workspace())
            .status()?;
        match status.success() {
            true => Ok(()),
            false => bail!("scripts/services stop: {status}"),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("stopping PostgreSQL: {error:#}");
        }
    }
}

/// Where PostgreSQL's programs are; Debian keeps them outside of PATH.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .chain(std::env::split_paths(&path))
        .filter(|folder| folder.join("pgbench").is_file())
        .max()
        .context("pgbench is missing; install it with: apt-get install postgresql")
}
