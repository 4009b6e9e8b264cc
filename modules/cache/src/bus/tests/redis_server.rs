//! A Redis for one test, in a temporary folder, which ends with it.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::PATIENCE;

const PASSWORD: &str = "sesame";
const NEEDED: &str = "tests need Redis 6.2 or later: install the package `redis-server`";

pub(in crate::bus) struct RedisServer {
    child: Option<Child>,
    folder: TempDir,
    port: u16,
}

impl RedisServer {
    /// One in which nothing is.
    pub async fn start() -> Self {
        // Somebody else may take the port before Redis does.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut server = Self {
                child: None,
                folder: TempDir::new().unwrap(),
                port: free.local_addr().unwrap().port(),
            };
            drop(free);
            if server.begin().await {
                return server;
            }
        }
        panic!("{NEEDED}");
    }

    /// Starts it where it was, and waits until it answers. False where it has ended instead.
    async fn begin(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args([
                "--save",
                "",
                "--appendonly",
                "no",
                "--requirepass",
                PASSWORD,
            ])
            .arg("--dir")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect(NEEDED);
        let child = self.child.insert(child);
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if let Ok(client) = redis::Client::open(url(self.port))
                && let Ok(mut connection) = client.get_multiplexed_async_connection().await
                && let Ok::<String, _>(_) = redis::cmd("PING").query_async(&mut connection).await
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Ends it at once.
    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, with nothing but what it was told to save.
    pub async fn restart(&mut self) {
        self.end();
        assert!(self.begin().await, "the port is taken");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Carries out a command.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.unwrap();
        let command = redis::cmd(words[0]).arg(&words[1..]).clone();
        command.query_async(&mut connection).await.unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // A stopped process is killed all the same.
        self.end();
    }
}

fn url(port: u16) -> String {
    format!("redis://:{PASSWORD}@127.0.0.1:{port}/0")
}
