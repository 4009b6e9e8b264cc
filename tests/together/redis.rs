//! A Redis server of a test's own, in a temporary folder and on a free port, which ends with it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const NEEDED: &str = "these tests need Redis 7 or later: install the package `redis-server`";
/// It starts and answers within this, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server.
pub struct Redis {
    pub port: u16,
    folder: TempDir,
    process: Child,
}

impl Redis {
    /// An empty one.
    pub fn start() -> Self {
        // Another program may take the port before the server does.
        for _ in 0..20 {
            let folder = TempDir::new().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let process = spawn(&folder, port);
            let mut redis = Self {
                port,
                folder,
                process,
            };
            if redis.is_up() {
                return redis;
            }
        }
        panic!("Redis does not start");
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, empty or with what it held at an earlier time.
    pub fn resume(&mut self, with: Option<&[u8]>) {
        match with {
            Some(snapshot) => fs::write(self.dump(), snapshot).unwrap(),
            // There is none where nothing was saved since the last start.
            None => drop(fs::remove_file(self.dump())),
        }
        self.process = spawn(&self.folder, self.port);
        assert!(self.is_up(), "Redis does not start again");
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Vec<u8> {
        assert_eq!(self.ask("SAVE"), "+OK");
        fs::read(self.dump()).unwrap()
    }

    /// Stops it in the middle of whatever it does.
    pub fn freeze(&self) {
        signal(self.process.id(), "-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.process.id(), "-CONT");
    }

    /// The first line of what it answers to a command in one line.
    /// <https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands>
    pub fn ask(&self, command: &str) -> String {
        self.try_ask(command).unwrap()
    }

    fn try_ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn dump(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    /// Waits until it answers. False where it has ended.
    fn is_up(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if self.try_ask("PING").is_ok_and(|answer| answer == "+PONG") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have been killed already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, signal: &str) {
    let mut command = Command::new("kill");
    let status = command.args([signal, &process.to_string()]).status();
    assert!(status.unwrap().success());
}

fn spawn(folder: &TempDir, port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect(NEEDED)
}
