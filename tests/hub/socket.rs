//! A WebSocket client that waits for what must come and never guesses.

use std::{
    collections::VecDeque,
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tungstenite::{
    Error, Message, WebSocket, client::IntoClientRequest, handshake::client::Request,
    http::HeaderValue,
};

use crate::{
    judge::Judge,
    server::{Client, text},
};

/// Nothing takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection.
pub struct Socket {
    stream: WebSocket<TcpStream>,
    /// Events that came while an answer was waited for.
    events: VecDeque<Json>,
    next: u64,
    /// Of what is said here; none where there is too much of it.
    judge: Option<Arc<Judge>>,
    pub welcome: Json,
}

/// A request for a connection.
pub fn request(client: &Client, token: Option<&str>) -> Request {
    let url = format!("ws://{}/ws", client.address());
    let mut request = url.into_client_request().unwrap();
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        request.headers_mut().insert("authorization", value);
    }
    request
}

impl Socket {
    /// Connects with a token.
    #[track_caller]
    pub fn open(client: &Client, token: &str) -> Self {
        Self::try_open(client, request(client, Some(token))).expect("a connection")
    }

    /// Connects; the status of the answer where that is refused.
    pub fn try_open(client: &Client, request: Request) -> Result<Self, (u16, Json)> {
        let stream = TcpStream::connect(client.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        match tungstenite::client(request, stream) {
            Ok((stream, _)) => {
                let mut socket = Self {
                    stream,
                    events: VecDeque::new(),
                    next: 1,
                    judge: Some(Judge::of(client)),
                    welcome: Json::Null,
                };
                socket.welcome = socket.receive().expect("a welcome");
                assert_eq!(socket.welcome["event"], "welcome");
                Ok(socket)
            }
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => {
                let body = response.body().clone().unwrap_or_default();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                Err((response.status().as_u16(), body))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The same socket with nobody who looks at everything that is said.
    pub fn unjudged(mut self) -> Self {
        self.judge = None;
        self
    }

    /// Sends text as it is.
    pub fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).unwrap();
    }

    /// Sends any message.
    pub fn send_raw(&mut self, message: Message) -> Result<(), Error> {
        self.stream.send(message)
    }

    /// The next message, or the code with which the connection ended.
    pub fn receive(&mut self) -> Result<Json, Option<u16>> {
        match self.receive_text() {
            Ok(text) => Ok(self.judged(text)),
            Err(code) => Err(code),
        }
    }

    /// What was received, held against the document. Answers are, where it is known to what.
    fn judged(&self, text: String) -> Json {
        let Ok(received) = serde_json::from_str::<Json>(&text) else {
            return Json::String(text);
        };
        if let Some(judge) = &self.judge {
            if received.get("event").is_some() {
                judge.event(&received);
            } else if received.get("error").is_some() {
                judge.refusal(&received);
            }
        }
        received
    }

    fn receive_text(&mut self) -> Result<String, Option<u16>> {
        loop {
            match self.stream.read() {
                Ok(Message::Text(text)) => return Ok(text.to_string()),
                Ok(Message::Close(frame)) => return Err(frame.map(|frame| frame.code.into())),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came in {PATIENCE:?}")
                }
                Err(_) => return Err(None),
            }
        }
    }

    /// Asks for something and waits for the answer.
    #[track_caller]
    pub fn ask(&mut self, mut message: Json) -> Json {
        let id = self.next;
        self.next += 1;
        message["id"] = id.into();
        self.send_text(&message.to_string());
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no answer to {message}");
            let received = self.receive().unwrap_or_else(|code| {
                panic!("closed with {code:?} instead of an answer to {message}")
            });
            match received.get("id") {
                Some(found) if *found == id => {
                    if let Some(judge) = &self.judge {
                        judge.answer(&message, &received);
                    }
                    return received;
                }
                Some(_) | None if received.get("event").is_some() => {
                    self.events.push_back(received);
                }
                _ => panic!("{received} is no answer to {message}"),
            }
        }
    }

    /// The same, where it must be carried out.
    #[track_caller]
    pub fn done(&mut self, message: Json) -> Json {
        let answer = self.ask(message);
        match answer.get("ok") {
            Some(ok) => ok.clone(),
            None => panic!("{answer}"),
        }
    }

    /// The same, where it must be refused: status and code.
    #[track_caller]
    pub fn refused(&mut self, message: Json) -> (u64, String) {
        let answer = self.ask(message);
        let error = &answer["error"];
        assert!(error.is_object(), "{answer}");
        (error["status"].as_u64().unwrap(), text(&error["code"]))
    }

    #[track_caller]
    pub fn subscribe(&mut self, channel: &str) -> Json {
        self.done(json!({ "op": "subscribe", "channel": channel }))
    }

    /// The next event.
    #[track_caller]
    pub fn event(&mut self) -> Json {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        match self.receive() {
            Ok(event) => event,
            Err(code) => panic!("closed with {code:?} instead of an event"),
        }
    }

    /// The next event, where one comes soon.
    #[track_caller]
    pub fn event_within(&mut self, time: Duration) -> Option<Json> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        self.stream.get_ref().set_read_timeout(Some(time)).unwrap();
        let received = match self.stream.read() {
            Ok(Message::Text(text)) => Some(self.judged(text.to_string())),
            Ok(Message::Close(frame)) => panic!("closed with {frame:?} instead of an event"),
            Ok(_) => None,
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        };
        let patience = Some(PATIENCE);
        self.stream.get_ref().set_read_timeout(patience).unwrap();
        received
    }

    /// The next event must be of this kind; its document.
    #[track_caller]
    pub fn expect(&mut self, kind: &str) -> Json {
        let event = self.event();
        assert_eq!(event["event"], kind, "{event}");
        event["document"].clone()
    }

    /// The code with which the connection ends, whatever comes before.
    #[track_caller]
    pub fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.receive() {
                return code;
            }
        }
    }
}
