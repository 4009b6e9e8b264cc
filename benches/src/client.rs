//! A small blocking HTTP client for setting servers up; never used while measuring.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::load::{Progress, ResponseReader};

/// One keep-alive connection.
pub struct Client {
    socket: TcpStream,
    address: SocketAddr,
    token: Option<String>,
    limit: Duration,
}

impl Client {
    /// Connects; every request on it may take at most `limit`.
    pub fn connect(address: SocketAddr, limit: Duration) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&address, limit)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(limit))?;
        socket.set_write_timeout(Some(limit))?;
        Ok(Self {
            socket,
            address,
            token: None,
            limit,
        })
    }

    /// Sends `token` as `Authorization` from now on.
    pub fn authorize(&mut self, token: String) {
        self.token = Some(token);
    }

    /// Sends a JSON request and returns the JSON answer.
    ///
    /// # Errors
    /// When the status is not 2xx; the message then holds the answer's body.
    pub fn json(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let token = self.token.clone();
        let (status, answer) = self.ask(method, path, token.as_deref(), body)?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} answered {status}: {answer}");
        }
        Ok(answer)
    }

    /// The same with a value of `Authorization` for this request, and whatever the status is.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = Vec::new();
        write_request(&mut request, method, path, authorization, body.as_bytes())?;
        let (status, answer) = self.exchange(&request)?;
        if answer.is_empty() {
            return Ok((status, Value::Null));
        }
        let answer = serde_json::from_slice(&answer).with_context(|| {
            let text = String::from_utf8_lossy(&answer);
            format!("{method} {path} answered {status} and no JSON: {text}")
        })?;
        Ok((status, answer))
    }

    /// Sends ready-made bytes; returns status and body.
    pub fn exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        let deadline = Instant::now() + self.limit;
        self.socket.write_all(request)?;
        let mut reader = ResponseReader::default();
        let mut body = Vec::new();
        let mut input = vec![0; 64 * 1024];
        loop {
            let count = match self.socket.read(&mut input) {
                // A machine that was frozen for a moment.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if count == 0 {
                bail!("{} closed the connection", self.address);
            }
            if let Progress::Done { .. } = reader.advance(&input[..count], Some(&mut body))? {
                return Ok((reader.status(), body));
            }
            if Instant::now() > deadline {
                bail!("{} took longer than {:?}", self.address, self.limit);
            }
        }
    }
}

/// Appends an HTTP/1.1 request with the headers both servers get alike.
pub fn write_request(
    out: &mut Vec<u8>,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &[u8],
) -> Result<()> {
    write!(out, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n")?;
    if let Some(token) = token {
        write!(out, "Authorization: {token}\r\n")?;
    }
    if !body.is_empty() {
        write!(
            out,
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        )?;
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    Ok(())
}
