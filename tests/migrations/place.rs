//! A folder with a configuration and a database, and the real binary that is run in it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value as Json;
use tempfile::TempDir;
use ureq::{Agent, Body, http::Response};

use crate::postgres::Database;

/// What holds the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Sqlite,
    Postgres,
}

/// The folder, with the collections and migrations that ship.
pub struct Place {
    pub driver: Driver,
    folder: TempDir,
    database: Option<Database>,
}

/// What a command has done.
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    /// With the collections that ship and an empty database.
    pub fn new(driver: Driver) -> Self {
        let place = Self {
            driver,
            folder: tempfile::tempdir().expect("a folder"),
            database: (driver == Driver::Postgres).then(Database::new),
        };
        for folder in ["collections", "migrations"] {
            copy(
                &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
                &place.path(folder),
            );
        }
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of this driver's migrations.
    pub fn migrations(&self) -> PathBuf {
        let folder = match self.driver {
            Driver::Sqlite => "sqlite",
            Driver::Postgres => "postgres",
        };
        self.path("migrations").join(folder)
    }

    /// Replaces something in the file of a collection.
    pub fn edit(&self, collection: &str, from: &str, to: &str) {
        let path = self.path(&format!("collections/{collection}.yaml"));
        let text = fs::read_to_string(&path).expect("a collection");
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replacen(from, to, 1)).expect("a collection");
    }

    /// Executes SQL in the database, without Nubo.
    pub fn sql(&self, text: &str) {
        match &self.database {
            Some(database) => {
                database.sql(text);
            }
            None => {
                fs::create_dir_all(self.path("data")).expect("a folder");
                let file = self.path("data/nubo.db");
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async {
                    use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
                    let options = sqlx::sqlite::SqliteConnectOptions::new()
                        .filename(file)
                        .foreign_keys(false)
                        .create_if_missing(true);
                    let mut connection = options.connect().await.expect("a database");
                    let text = AssertSqlSafe(text.to_owned());
                    connection.execute(text).await.expect("SQL");
                    connection.close().await.expect("a database");
                });
            }
        }
    }

    /// The address of the database for another account.
    pub fn url_for(&self, user: &str, password: &str) -> String {
        let database = self.database.as_ref().expect("a database");
        let (_, rest) = database.url.split_once('@').expect("an address");
        format!("postgres://{user}:{password}@{rest}")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nubo"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NUBO_") {
                command.env_remove(name);
            }
        }
        command.env_remove("DATABASE_URL").env_remove("JWT_SECRET");
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", &database.url);
            command.env("NUBO_TIERS__TRUTH__DRIVER", "postgres");
            command.env("NUBO_TIERS__TRUTH__POOL__MAX", "4");
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    /// Runs a command with more in its environment.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("the program runs");
        Outcome {
            code: status.code(),
            out: String::from_utf8(stdout).expect("UTF-8"),
            err: String::from_utf8(stderr).expect("UTF-8"),
        }
    }

    /// Runs a command that must succeed, and gives what it says.
    pub fn done(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        let Outcome { code, out, err } = outcome;
        assert_eq!(code, Some(0), "{arguments:?}:\n{out}{err}");
        out
    }

    /// Runs a command that must fail, and gives all that it says.
    pub fn failed(&self, arguments: &[&str]) -> String {
        let Outcome { code, out, err } = self.run(arguments);
        assert_eq!(code, Some(1), "{arguments:?}:\n{out}{err}");
        assert!(!err.contains("panicked"), "{err}");
        out + &err
    }

    /// Starts a server with more in its environment; what it says where it does not start.
    pub fn serve(&self, data: &str, environment: &[(&str, &str)]) -> Result<Server, String> {
        let arguments = ["--data", data, "--listen", "127.0.0.1:0"];
        let mut command = self.command(&arguments);
        command.envs(environment.iter().copied());
        command.stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stderr.take().expect("a log"));
        let mut said = String::new();
        loop {
            let start = said.len();
            match lines.read_line(&mut said) {
                Ok(0) | Err(_) => {
                    let code = child.wait().expect("an end").code();
                    assert_eq!(code, Some(1), "{said}");
                    return Err(said);
                }
                Ok(_) if said[start..].contains("http://127.0.0.1:") => break,
                Ok(_) => {}
            }
        }
        // Whoever writes a log must have a reader.
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            lines.read_to_end(&mut rest)
        });
        let at = said.rfind("http://127.0.0.1:").expect("an address");
        let url: String = said[at..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || ":/.".contains(*c))
            .collect();
        Ok(Server { child, url })
    }
}

/// A server that ends with this.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    /// What a route answers, and how.
    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = agent().get(self.at(path)).call();
        read(answer.expect("an answer"))
    }

    /// The same with a body.
    pub fn post(&self, path: &str, body: &Json) -> (u16, String) {
        let request = agent().post(self.at(path));
        let request = request.header("content-type", "application/json");
        read(request.send(body.to_string()).expect("an answer"))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false);
    config.build().into()
}

fn read(mut answer: Response<Body>) -> (u16, String) {
    let status = answer.status().as_u16();
    (status, answer.body_mut().read_to_string().expect("a body"))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => {
                fs::copy(entry.path(), target).expect("a copy");
            }
        }
    }
}
