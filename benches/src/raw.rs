//! Load on any local address, for profiling a server that already runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::client::write_request;
use crate::interrupt::Interrupt;
use crate::load::Generator;
use crate::process::{cpu_time, own_cpu_time, peak_memory};

/// Options of ad-hoc load.
#[derive(Args)]
pub struct Options {
    /// What to ask, such as http://127.0.0.1:8080/ping; only this machine.
    #[arg(long)]
    url: String,
    /// Sends this as a JSON body, with POST.
    #[arg(long)]
    body: Option<String>,
    /// Sends this file as a JSON body, with POST.
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    body_file: Option<PathBuf>,
    /// Value of the Authorization header.
    #[arg(long)]
    authorization: Option<String>,
    /// Seconds measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of load before that.
    #[arg(long, default_value_t = 1)]
    warmup: u64,
    /// Keep-alive connections, each with one request under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Process id of the server, to report its processor time and memory.
    #[arg(long)]
    pid: Option<u32>,
}

/// Sends the same request over and over.
///
/// # Errors
/// When any request failed.
pub fn run(options: Options, interrupt: &Interrupt) -> Result<()> {
    let (address, path) = parse_url(&options.url)?;
    let body = match &options.body_file {
        Some(file) => {
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        None => options.body.unwrap_or_default().into_bytes(),
    };
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut request = Vec::new();
    write_request(
        &mut request,
        method,
        path,
        options.authorization.as_deref(),
        &body,
    )?;
    let mut next = |out: &mut Vec<u8>| out.extend_from_slice(&request);

    let mut generator = Generator::connect(address, usize::from(options.concurrency))?;
    let warm = generator.drive(Duration::from_secs(options.warmup), interrupt, &mut next)?;
    let server_cpu = |pid: Option<u32>| pid.map(cpu_time).transpose();
    let before = (own_cpu_time()?, server_cpu(options.pid)?);
    let span = Duration::from_secs(options.seconds.max(1));
    let mut outcome = generator.drive(span, interrupt, &mut next)?;
    let after = (own_cpu_time()?, server_cpu(options.pid)?);
    outcome.adopt_failures(&warm);

    println!("requests/s  {:.0}", outcome.rate());
    for (name, quantile) in [
        ("p50", 0.5),
        ("p90", 0.9),
        ("p99", 0.99),
        ("p99.9", 0.999),
        ("max", 1.0),
    ] {
        println!("{name:<11} {} µs", outcome.latency_us(quantile));
    }
    println!("body        {:.0} bytes", outcome.mean_body());
    println!(
        "generator   {:.0}% of a core",
        100.0 * (after.0 - before.0).as_secs_f64() / span.as_secs_f64()
    );
    if let (Some(pid), Some(from), Some(to)) = (options.pid, before.1, after.1) {
        let cpu = (to - from).as_secs_f64();
        println!(
            "server CPU  {:.4} s per 1,000 requests",
            cpu * 1000.0 / outcome.requests().max(1) as f64
        );
        println!(
            "server      {:.0}% of a core",
            100.0 * cpu / span.as_secs_f64()
        );
        println!(
            "peak memory {:.0} MiB",
            peak_memory(pid)? as f64 / f64::from(1 << 20)
        );
    }
    ensure!(outcome.failures() == 0, "{}", outcome.failure_text());
    Ok(())
}

/// Address and path of an http URL on the loopback interface.
fn parse_url(url: &str) -> Result<(SocketAddr, &str)> {
    let rest = url
        .strip_prefix("http://")
        .context("the URL must start with http://")?;
    let (host, path) = rest
        .find('/')
        .map_or((rest, "/"), |slash| rest.split_at(slash));
    let host = host.replace("localhost", "127.0.0.1");
    let address: SocketAddr = host
        .parse()
        .with_context(|| format!("`{host}` is no address and port"))?;
    if !address.ip().is_loopback() {
        bail!("{address} is another machine; this is for one's own");
    }
    Ok((address, path))
}

#[cfg(test)]
mod tests {
    use super::parse_url;

    #[test]
    fn takes_local_addresses_only() {
        assert_eq!(
            parse_url("http://localhost:80/a?b=c").unwrap(),
            (([127, 0, 0, 1], 80).into(), "/a?b=c")
        );
        assert_eq!(parse_url("http://127.0.0.1:80").unwrap().1, "/");
        assert!(parse_url("http://10.0.0.1:80/").is_err());
        assert!(parse_url("http://example.com:80/").is_err());
    }
}
