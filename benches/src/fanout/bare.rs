//! The least that a fan-out can cost: a loop of one blocking write for each subscriber, and nothing
//! else. It is no server one could use; it is what the others are held against.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::{Context, Result, bail};
use clap::Args;

/// Options of the bare loop, which this program starts itself.
#[derive(Args)]
pub struct Options {
    port: u16,
}

/// Serves until it is killed. Who asks for `/publish` publishes to all others.
pub fn serve(options: &Options) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
    let mut subscribers: Vec<TcpStream> = Vec::new();
    loop {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let request = head(&mut socket)?;
        if request.starts_with("GET /ready") {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        socket.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
              connection: upgrade\r\n\r\n",
        )?;
        if request.starts_with("GET /publish") {
            publish(&mut socket, &mut subscribers)?;
        } else {
            subscribers.push(socket);
        }
    }
}

/// Sends whatever the publisher says to everybody.
fn publish(publisher: &mut TcpStream, subscribers: &mut [TcpStream]) -> Result<()> {
    let mut buffer = Vec::new();
    let mut chunk = [0; 64 << 10];
    loop {
        while let Some((frame, length)) = frame(&buffer)? {
            for subscriber in &mut *subscribers {
                subscriber.write_all(&frame)?;
            }
            buffer.drain(..length);
        }
        match publisher.read(&mut chunk)? {
            0 => return Ok(()),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}

/// A frame as it goes to subscribers, and how long it was as it came: masked, and of at most 64 KiB.
fn frame(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let Some(&[_, second]) = bytes.get(..2) else {
        return Ok(None);
    };
    let (length, mask_at) = match second & 0x7f {
        126 => match bytes.get(2..4) {
            Some(&[high, low]) => (usize::from(u16::from_be_bytes([high, low])), 4),
            _ => return Ok(None),
        },
        127 => bail!("a message larger than this program sends"),
        short => (usize::from(short), 2),
    };
    let whole = mask_at + 4 + length;
    let Some(bytes) = bytes.get(..whole) else {
        return Ok(None);
    };
    let mut frame = bytes[..mask_at].to_vec();
    frame[1] &= 0x7f;
    let (mask, payload) = bytes[mask_at..].split_at(4);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    Ok(Some((frame, whole)))
}

fn head(socket: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).context("a request")?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
