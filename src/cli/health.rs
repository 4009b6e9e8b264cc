//! `nubo health`: asks the server that runs with this configuration whether it is ready, for what
//! looks after containers; an image needs no HTTP client of its own for that.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;

use crate::config::settings::ServerSettings;

/// How long the server may take for each step.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of an answer that are of interest.
const MOST: u64 = 64 << 10;

/// Asks the server that runs here whether it is ready; the exit code tells.
#[derive(Debug, Args)]
pub struct Health {}

impl Health {
    /// Writes the server's answer to `out`.
    ///
    /// # Errors
    /// When the server does not answer in time, or is not ready.
    pub fn run(&self, server: &ServerSettings, out: &mut impl Write) -> anyhow::Result<()> {
        let address = reachable(server.listen.0);
        let answer = ask(address, &server.base_path.0)
            .with_context(|| format!("no answer from {address}"))?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("the answer is not HTTP")?;
        writeln!(out, "{}", body.trim_end())?;
        match head.split(' ').nth(1) {
            Some("200") => Ok(()),
            _ => bail!(
                "the server is not ready: {}",
                head.lines().next().unwrap_or_default()
            ),
        }
    }
}

fn ask(address: SocketAddr, base_path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request =
        format!("GET {base_path}/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Where this machine reaches a server that listens at an address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_reached_here() {
        for (listen, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(
                reachable(listen.parse().unwrap()),
                reached.parse().unwrap(),
                "{listen}"
            );
        }
    }
}
