//! Between server and database: passes everything on, and cuts connections around COMMIT, or around
//! what commits by itself: a statement that writes its transaction's number down.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How a COMMIT is cut.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// It never arrives.
    Before,
    /// It arrives, and nobody waits for the answer.
    Right,
    /// It arrives and is answered, and the answer is lost.
    After,
}

const CUTS: [Cut; 3] = [Cut::Before, Cut::Right, Cut::After];

/// A proxy that cuts one COMMIT in so many, each time in another way.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    commits: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    /// Passes on to a port of this machine for as long as the process lives.
    pub fn start(to: u16, one_in: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            commits: Arc::default(),
            cuts: Arc::default(),
        };
        let of_all = proxy.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, proxy) = (client.unwrap(), of_all.clone());
                let Ok(database) = TcpStream::connect(("127.0.0.1", to)) else {
                    continue;
                };
                std::thread::spawn(move || proxy.pass(client, database, one_in));
            }
        });
        proxy
    }

    /// How many connections it has cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    /// Passes a connection on until one side ends it, or it is cut.
    fn pass(&self, mut client: TcpStream, mut database: TcpStream, one_in: u64) {
        let mut answers = (database.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            // Whichever side has gone, the other is told.
            std::io::copy(&mut answers.0, &mut answers.1).ok();
            answers.1.shutdown(Shutdown::Both).ok();
        });
        client.set_nodelay(true).unwrap();
        database.set_nodelay(true).unwrap();
        // The first message has no type.
        let mut first = true;
        let mut commits = Commits::default();
        while let Ok(message) = read_message(&mut client, first) {
            let cut = match !first && commits.commits(&message) {
                true => self.cut(one_in),
                false => None,
            };
            first = false;
            match cut {
                None => {
                    if database.write_all(&message).is_err() {
                        break;
                    }
                    continue;
                }
                Some(Cut::Before) => {}
                Some(Cut::Right) => database.write_all(&message).unwrap(),
                Some(Cut::After) => {
                    // Nothing reaches the client any longer; the server is left to finish.
                    client.shutdown(Shutdown::Both).ok();
                    database.write_all(&message).ok();
                    std::thread::sleep(std::time::Duration::from_millis(30));
                }
            }
            break;
        }
        client.shutdown(Shutdown::Both).ok();
        database.shutdown(Shutdown::Both).ok();
    }

    fn cut(&self, one_in: u64) -> Option<Cut> {
        let commit = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if !commit.is_multiple_of(one_in) {
            return None;
        }
        let cuts = self.cuts.fetch_add(1, Ordering::Relaxed);
        Some(CUTS[cuts as usize % CUTS.len()])
    }
}

/// Which messages commit.
#[derive(Default)]
struct Commits {
    /// The names of prepared statements that are transactions of their own.
    alone: Vec<Vec<u8>>,
    /// Whether one of them was bound and waits for its end.
    bound: bool,
}

impl Commits {
    fn commits(&mut self, message: &[u8]) -> bool {
        let mut parts = message[5..].split(|byte| *byte == 0);
        match message[0] {
            b'Q' => parts.next().is_some_and(|text| text.ends_with(b"COMMIT")),
            // Parse: the statement's name, its text.
            b'P' => {
                let (name, text) = (parts.next().unwrap(), parts.next().unwrap());
                if text.starts_with(b"WITH noted AS (INSERT INTO nubo.commits") {
                    self.alone.push(name.to_vec());
                }
                false
            }
            // Bind: the portal's name, the statement's.
            b'B' => {
                let name = parts.nth(1).unwrap();
                self.bound = self.alone.iter().any(|alone| alone == name);
                false
            }
            b'S' => std::mem::take(&mut self.bound),
            _ => false,
        }
    }
}

/// A message of the protocol: a type (but for the first), its length, the rest.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
fn read_message(stream: &mut TcpStream, first: bool) -> std::io::Result<Vec<u8>> {
    let head = if first { 4 } else { 5 };
    let mut message = vec![0; head];
    stream.read_exact(&mut message)?;
    let length = message.last_chunk::<4>().copied().unwrap();
    let rest = u32::from_be_bytes(length) as usize - 4;
    message.resize(head + rest, 0);
    stream.read_exact(&mut message[head..])?;
    Ok(message)
}
