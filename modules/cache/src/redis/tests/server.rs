//! Redis servers for tests: the one that `NUBO_TEST_REDIS_URL` names, or one of a test's own, in a
//! temporary folder and on a free port, which ends with the test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

const NEEDED: &str = "tests need Redis 7 or later: install the package `redis-server`, or name a \
    server in NUBO_TEST_REDIS_URL";

/// A server, and what the keys of a test begin with there.
pub(super) struct Server {
    pub url: String,
    pub prefix: String,
    own: Option<Own>,
}

/// One that was started for a test.
struct Own {
    process: Child,
    port: u16,
    folder: TempDir,
    options: Vec<String>,
}

impl Server {
    /// One that others may use at the same time.
    pub fn shared() -> Self {
        match std::env::var("NUBO_TEST_REDIS_URL") {
            Ok(url) => Self {
                url,
                prefix: prefix(),
                own: None,
            },
            Err(_) => Self::start(&[]),
        }
    }

    /// One of the test's own, which may do anything to it.
    pub fn start(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        // Another program may take the port before the server does.
        for _ in 0..20 {
            let folder = TempDir::new().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let mut own = Own {
                process: spawn(&folder, port, &options),
                port,
                folder,
                options: options.clone(),
            };
            if own.is_up() {
                return Self {
                    url: format!("redis://127.0.0.1:{port}/"),
                    prefix: prefix(),
                    own: Some(own),
                };
            }
        }
        panic!("Redis does not start");
    }

    /// The same server and the same keys once more.
    pub fn known(other: &Self) -> Self {
        Self {
            url: other.url.clone(),
            prefix: other.prefix.clone(),
            own: None,
        }
    }

    /// Kills it and starts it again with what it has saved.
    pub fn restart(&mut self) {
        self.kill();
        let own = self.own.as_mut().unwrap();
        own.process = spawn(&own.folder, own.port, &own.options);
        assert!(own.is_up());
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let own = self.own.as_mut().unwrap();
        own.process.kill().unwrap();
        own.process.wait().unwrap();
    }

    /// Stops it in the middle of whatever it does.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// What it answers to a command.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name)
            .arg(arguments)
            .query(&mut self.connection())
            .unwrap()
    }

    /// The keys of this test.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut command = redis::cmd("KEYS");
        command.arg(format!("{}*", self.prefix));
        command.query(&mut self.connection()).unwrap()
    }

    fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(&self.url[..]).unwrap();
        client.get_connection().unwrap()
    }

    /// Makes keys look as if nobody had used them for long.
    pub fn age(&self, keys: impl Iterator<Item = Vec<u8>>) {
        let mut connection = self.connection();
        for key in keys {
            let dump: Option<Vec<u8>> =
                redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
            let Some(dump) = dump else { continue };
            let mut command = redis::cmd("RESTORE");
            command.arg(&key).arg(0).arg(dump);
            command.arg("REPLACE").arg("IDLETIME").arg(1000);
            command.exec(&mut connection).unwrap();
        }
    }

    fn signal(&self, signal: &str) {
        let process = self.own.as_ref().unwrap().process.id().to_string();
        let status = Command::new("kill").args([signal, &process]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.own {
            Some(own) => {
                own.process.kill().ok();
                own.process.wait().ok();
            }
            None => {
                let keys = self.keys();
                if !keys.is_empty() {
                    redis::cmd("DEL")
                        .arg(keys)
                        .exec(&mut self.connection())
                        .unwrap();
                }
            }
        }
    }
}

impl Own {
    /// Waits until it answers. False where it has ended.
    fn is_up(&mut self) -> bool {
        let client = redis::Client::open(("127.0.0.1", self.port)).unwrap();
        loop {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            let connection = client.get_connection_with_timeout(Duration::from_secs(1));
            let answer = connection.and_then(|mut it| redis::cmd("PING").query::<String>(&mut it));
            // One that asks for a password is up, too. Another program may be the one that answers.
            let is_up = match answer {
                Ok(_) => true,
                Err(error) => !error.is_io_error() && error.code() != Some("LOADING"),
            };
            if is_up && self.process.try_wait().unwrap().is_none() {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn spawn(folder: &TempDir, port: u16, options: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(options)
        .arg("--dir")
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect(NEEDED)
}

/// One that no other test has.
fn prefix() -> String {
    format!("nubo-test:{:016x}:", fastrand::u64(..))
}
