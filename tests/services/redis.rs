//! Redis for tests: a server of a test's own, in a temporary folder and on a free port, which ends
//! with the test. Tests may do anything to it.

#![allow(dead_code, clippy::unwrap_used)]

// A program has it with each of the services that it needs.
#[allow(clippy::duplicate_mod)]
#[path = "port.rs"]
mod port;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const NEEDED: &str = "tests need Redis 7 or later: install the package `redis-server`";
/// It starts and answers within this, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server.
pub struct Redis {
    pub port: u16,
    folder: TempDir,
    options: Vec<String>,
    process: Child,
}

impl Redis {
    /// An empty one.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further options.
    pub fn start_with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        // Another program may take the port before the server does.
        for _ in 0..20 {
            let folder = TempDir::new().unwrap();
            let port = port::free();
            let mut redis = Self {
                process: spawn(&folder, port, &options),
                port,
                folder,
                options: options.clone(),
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

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after that, with what it has saved.
    pub fn resume(&mut self) {
        self.begin();
        assert!(self.is_up(), "Redis does not start again");
    }

    /// The same without waiting until it answers.
    pub fn begin(&mut self) {
        self.process = spawn(&self.folder, self.port, &self.options);
    }

    /// Whether it answers by now; none where that may still come, false where it has ended.
    pub fn answers(&mut self) -> Option<bool> {
        if self.process.try_wait().unwrap().is_some() {
            return Some(false);
        }
        // One that asks for a password is up, too.
        let answer = self.try_ask("PING").unwrap_or_default();
        if answer != "+PONG" && !answer.starts_with("-NOAUTH") {
            return None;
        }
        // Another program may be the one that answers.
        Some(self.process.try_wait().unwrap().is_none())
    }

    /// The same, empty or with what it held at an earlier time.
    pub fn resume_with(&mut self, snapshot: Option<&[u8]>) {
        match snapshot {
            Some(snapshot) => fs::write(self.dump(), snapshot).unwrap(),
            // There is none where nothing was saved since the last start.
            None => drop(fs::remove_file(self.dump())),
        }
        self.resume();
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
        self.try_ask_for_line(command, 1)
    }

    /// One of the lines of what it answers, counted from one.
    fn try_ask_for_line(&self, command: &str, number: usize) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        for _ in 0..number {
            line.clear();
            stream.read_line(&mut line)?;
        }
        Ok(line.trim_end().to_owned())
    }

    fn dump(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    /// Waits until it answers. False where it has ended.
    fn is_up(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(answers) = self.answers() {
                return answers;
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

/// Several servers as a cluster: masters without replicas, each of which has its share of the slots.
pub struct Cluster {
    pub masters: Vec<Redis>,
}

impl Cluster {
    pub const MASTERS: usize = 3;
    const SLOTS: usize = 16_384;

    /// One that is empty and whole.
    pub fn start() -> Self {
        let (mut masters, mut buses) = (Vec::new(), Vec::new());
        for number in 0..Self::MASTERS {
            let bus = port::free().to_string();
            let master = Redis::start_with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "2000",
            ]);
            let slots = Self::share(number);
            let (first, last) = (slots.start(), slots.end());
            let answer = master.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            assert_eq!(answer, "+OK");
            masters.push(master);
            buses.push(bus);
        }
        for (other, bus) in masters.iter().zip(&buses).skip(1) {
            let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.port);
            assert_eq!(masters[0].ask(&meet), "+OK");
        }
        let cluster = Self { masters };
        cluster.wait_until_whole();
        cluster
    }

    /// Waits until all of them know that each slot has a master.
    pub fn wait_until_whole(&self) {
        let end = Instant::now() + PATIENCE;
        let is_whole = |master: &Redis| {
            let state = master.try_ask_for_line("CLUSTER INFO", 2);
            state.is_ok_and(|state| state == "cluster_state:ok")
        };
        while !self.masters.iter().all(is_whole) {
            assert!(Instant::now() < end, "the cluster is not whole");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The slots that a master has as long as none has moved.
    pub fn share(number: usize) -> std::ops::RangeInclusive<usize> {
        let first = |number| number * Self::SLOTS / Self::MASTERS;
        first(number)..=first(number + 1) - 1
    }

    /// The master that has a slot as long as none has moved.
    pub fn master_of(slot: u16) -> usize {
        let has = |number: &usize| Self::share(*number).contains(&usize::from(slot));
        (0..Self::MASTERS).find(has).unwrap()
    }

    /// Where all of them are.
    pub fn url(&self) -> String {
        let masters = self.masters.iter();
        let hosts: Vec<_> = masters
            .map(|own| format!("127.0.0.1:{}", own.port))
            .collect();
        format!("redis://{}/", hosts.join(","))
    }

    /// Has another master have a slot in which nothing is.
    pub fn move_slot(&self, slot: u16, to: usize) {
        let id = self.masters[to]
            .try_ask_for_line("CLUSTER MYID", 2)
            .unwrap();
        let mut order: Vec<usize> = (0..Self::MASTERS).collect();
        order.sort_unstable_by_key(|number| *number != to);
        for number in order {
            let set = format!("CLUSTER SETSLOT {slot} NODE {id}");
            assert_eq!(self.masters[number].ask(&set), "+OK");
        }
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, signal: &str) {
    let mut command = Command::new("kill");
    let status = command.args([signal, &process.to_string()]).status();
    assert!(status.unwrap().success());
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
