//! Between a server and what it depends on: a connection that can be cut and stalled.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
};

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It arrives.
    Through,
    /// Connections end, and new ones are refused as soon as they are made.
    Cut,
    /// It stays on the way until that changes, in both directions.
    Stalled,
}

/// Passes on to one address for as long as the process lives.
#[derive(Clone)]
pub struct Link {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    way: Mutex<Way>,
    changed: Condvar,
    /// Both ends of everything that is connected.
    streams: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// To a host and port.
    pub fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            way: Mutex::new(Way::Through),
            changed: Condvar::new(),
            streams: Mutex::default(),
        });
        let link = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::clone(&state),
        };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                state.connect(client.unwrap(), &to);
            }
        });
        link
    }

    /// Changes what becomes of what is sent.
    pub fn set(&self, way: Way) {
        *self.state.way.lock().unwrap() = way;
        self.state.changed.notify_all();
        if way == Way::Cut {
            for stream in self.state.streams.lock().unwrap().drain(..) {
                // It may have ended by itself.
                stream.shutdown(Shutdown::Both).ok();
            }
        }
    }
}

impl State {
    fn connect(self: &Arc<Self>, client: TcpStream, to: &str) {
        // Dropping refuses.
        if *self.way.lock().unwrap() == Way::Cut {
            return;
        }
        let Ok(server) = TcpStream::connect(to) else {
            return;
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        {
            let mut streams = self.streams.lock().unwrap();
            streams.retain(|stream| stream.peer_addr().is_ok());
            streams.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
        }
        // Cut between the look and the entry: nobody would end it.
        if *self.way.lock().unwrap() == Way::Cut {
            self.streams.lock().unwrap().iter().for_each(|stream| {
                stream.shutdown(Shutdown::Both).ok();
            });
        }
        let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
        for (from, to) in [(client, server), back] {
            let state = Arc::clone(self);
            std::thread::spawn(move || state.pass(from, to));
        }
    }

    /// Passes one direction on until a side ends it.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16_384];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let way = self.way.lock().unwrap();
            let stalled = |way: &mut Way| *way == Way::Stalled;
            drop(self.changed.wait_while(way, stalled).unwrap());
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        // Whichever side has gone, the other is told.
        for stream in [from, to] {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}
