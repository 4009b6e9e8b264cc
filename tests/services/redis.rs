//! Redis for tests: a server of a test's own, in a temporary folder and on a free port, which ends
//! with the test. Tests may do anything to it.

#![allow(dead_code, clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

const NEEDED: &str = "tests need Redis 7 or later: install the package `redis-server`";

/// A server.
pub struct Redis {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        // Another program may take the port before the server does.
        for _ in 0..20 {
            let folder = TempDir::new().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let process = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--dir"])
                .arg(folder.path())
                .stdout(Stdio::null())
                .spawn()
                .expect(NEEDED);
            let mut redis = Self {
                port,
                process,
                _folder: folder,
            };
            if redis.is_up() {
                return redis;
            }
        }
        panic!("Redis does not start");
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until it answers. False where it has ended.
    fn is_up(&mut self) -> bool {
        loop {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if ping(self.port).is_ok_and(|answer| answer == *b"+PONG") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn ping(port: u16) -> std::io::Result<[u8; 5]> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
