//! A client that holds what it listens to, and goes to the other server whenever it is cut off.

use std::{
    collections::HashMap,
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tungstenite::{Error, Message, WebSocket};

use crate::{hub::World, scene::wait, socket::request};

/// How long a server may say nothing to a question before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client knows of all notes.
pub struct Listener<'a> {
    world: &'a World,
    instance: usize,
    documents: HashMap<String, Json>,
    /// The revision of each document that the last event about it brought.
    told: HashMap<String, i64>,
    position: Json,
    /// A version was missed, and nobody has said so yet.
    doubt: Option<Json>,
    pub account: Account,
}

/// How often what came.
#[derive(Debug, Default, Clone, Copy)]
pub struct Account {
    pub events: usize,
    pub resumed: usize,
    pub begun_anew: usize,
    pub gaps: usize,
    pub doubts: usize,
}

type Stream = WebSocket<TcpStream>;

impl<'a> Listener<'a> {
    pub fn new(world: &'a World, instance: usize) -> Self {
        Self {
            world,
            instance,
            documents: HashMap::new(),
            told: HashMap::new(),
            position: Json::Null,
            doubt: None,
            account: Account::default(),
        }
    }

    /// Listens until everything has been written and nothing is missing, and changes servers after
    /// so many events.
    pub fn listen(mut self, mut patience: impl FnMut() -> usize) -> Account {
        let mut end = None;
        loop {
            let Ok(mut stream) = self.connect() else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let mut left = patience();
            while left > 0 || self.world.is_written() {
                match next(&mut stream, Duration::from_millis(100)) {
                    Ok(Some(event)) => {
                        self.apply(&event);
                        left = left.saturating_sub(1);
                    }
                    Ok(None) if self.world.is_written() => {
                        let wanted = self.query();
                        if wanted == self.documents && self.doubt.is_none() {
                            return self.account;
                        }
                        let end = end.get_or_insert_with(|| Instant::now() + PATIENCE * 3);
                        assert!(
                            Instant::now() < *end,
                            "{:?} and {} documents instead of {}",
                            self.doubt,
                            self.documents.len(),
                            wanted.len()
                        );
                    }
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
        }
    }

    /// Connects to the other server than last, and goes on where it left off or begins anew.
    fn connect(&mut self) -> Result<Stream, Error> {
        self.instance = 1 - self.instance;
        let client = self.world.client(self.instance);
        let stream = TcpStream::connect(client.address()).map_err(Error::Io)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let request = request(&client, Some(&self.world.token));
        let (mut stream, _) =
            tungstenite::client(request, stream).map_err(|error| match error {
                tungstenite::HandshakeError::Failure(error) => error,
                tungstenite::HandshakeError::Interrupted(_) => Error::ConnectionClosed,
            })?;
        let mut subscribe = json!({ "id": 1, "op": "subscribe", "channel": "notes" });
        let begins = self.position.is_null();
        if !begins {
            subscribe["since"] = self.position.clone();
        }
        stream.send(Message::text(subscribe.to_string()))?;
        let answer = loop {
            match next(&mut stream, PATIENCE)? {
                Some(answer) if answer["id"] == 1 => break answer,
                Some(other) => assert_eq!(other["event"], "welcome", "{other}"),
                None => return Err(Error::ConnectionClosed),
            }
        };
        let Some(ok) = answer.get("ok") else {
            // Refused for now; nothing else may be the reason.
            assert_eq!(answer["error"]["status"], 503, "{answer}");
            return Err(Error::ConnectionClosed);
        };
        if begins || ok["resumed"] == false {
            self.account.begun_anew += 1;
            self.position = ok["position"].clone();
            self.read();
        } else {
            self.account.resumed += 1;
        }
        Ok(stream)
    }

    /// What a query returns.
    fn query(&self) -> HashMap<String, Json> {
        let mut found = HashMap::new();
        wait("a query is answered", || {
            for instance in [self.instance, 1 - self.instance] {
                let client = self.world.client(instance);
                let request = client.request("GET", "/notes?limit=200");
                let Ok(answer) = request.try_send() else {
                    continue;
                };
                if answer.status == 200 {
                    let body = answer.json();
                    assert_eq!(body["next_cursor"], Json::Null, "too many notes");
                    let documents = body["data"].as_array().unwrap().iter();
                    found = documents
                        .map(|document| (id(document), document.clone()))
                        .collect();
                    return true;
                }
                assert_eq!(answer.status, 503, "{}", answer.text());
            }
            false
        });
        found
    }

    fn read(&mut self) {
        self.told.clear();
        self.doubt = None;
        self.documents = self.query();
    }

    fn apply(&mut self, event: &Json) {
        self.account.events += 1;
        self.position = event["position"].clone();
        let kind = event["event"].as_str().unwrap();
        if kind == "reload" {
            assert_eq!(event["reason"], "gap", "{event}");
            self.account.gaps += 1;
            return self.read();
        }
        let document = &event["document"];
        let id = id(document);
        let previous = event["previous"].as_i64();
        if let Some(told) = self.told.get(&id)
            && previous != Some(*told)
        {
            // Whoever wrote the one between has died and told nobody; that has to be said.
            self.account.doubts += 1;
            self.doubt = Some(event.clone());
        }
        let known = self
            .documents
            .get(&id)
            .and_then(|known| known["_rev"].as_i64());
        match event["revision"].as_i64() {
            Some(revision) => {
                let told = self.told.insert(id.clone(), revision);
                assert!(
                    told.is_none_or(|told| told < revision),
                    "{told:?} before {event}"
                );
                if known.is_none_or(|known| known < revision) {
                    self.documents.insert(id, document.clone());
                }
            }
            None => {
                assert_eq!(kind, "deleted", "{event}");
                self.told.remove(&id);
                if known.is_some_and(|known| Some(known) <= previous) {
                    self.documents.remove(&id);
                }
            }
        }
    }
}

fn id(document: &Json) -> String {
    document["id"].as_str().unwrap().to_owned()
}

/// The next thing that is said, where something is within this time.
fn next(stream: &mut Stream, within: Duration) -> Result<Option<Json>, Error> {
    stream.get_ref().set_read_timeout(Some(within))?;
    match stream.read() {
        Ok(Message::Text(text)) => Ok(Some(serde_json::from_str(&text).unwrap())),
        Ok(Message::Close(_)) => Err(Error::ConnectionClosed),
        Ok(_) => Ok(None),
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
