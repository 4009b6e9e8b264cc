//! The least that an answer can cost: a poem route that gives the same bytes whatever is asked. It is
//! no server one could use; it is what reads from memory are held against.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::Args;
use poem::{
    Body, Endpoint, IntoResponse, Request, Response, Route, Server, endpoint::make_sync, get,
    http::header, listener::TcpListener,
};

use crate::peer::Program;

/// Options of the bare route, which this program starts itself.
#[derive(Args)]
pub struct Options {
    port: u16,
}

/// The bytes of a message as Nubo sends it.
const MESSAGE: &str = r#"{"id":"01a20914-ed64-7466-8bea-b9c66bfbc2da","conversation_id":"6d4d1d4e-6a2e-4a9d-8a0b-9b9a0f3c2d11","sender_id":"0c8f8a0e-3b1f-4c55-9a57-6d0f2f8c7b1a","message_type":0,"state":0,"content":"the river keeps its own time and nobody who waits for it is late","created_at":"2026-11-23T15:44:55.932Z","updated_at":"2026-11-23T15:44:55.932Z","_rev":1795448696124346}"#;

/// Serves until it is killed.
pub fn serve(options: &Options) -> Result<()> {
    let route = Route::new()
        .at("/ping", get(make_sync(|_: Request| "pong")))
        .at("/messages/:id", get(Constant));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(Server::new(listener).run(route))?;
    Ok(())
}

/// The same bytes, with the headers that a read has.
struct Constant;

impl Endpoint for Constant {
    type Output = Response;

    async fn call(&self, _: Request) -> poem::Result<Response> {
        let body = Body::from_bytes(MESSAGE.as_bytes().into());
        Ok(body
            .with_header(header::CONTENT_TYPE, "application/json")
            .into_response())
    }
}

/// The bare route as a server to be started.
pub struct Bare;

impl Program for Bare {
    fn name(&self) -> &'static str {
        "bare route"
    }

    fn command(&self, _: &Path, port: u16) -> Command {
        let own = std::env::current_exe().unwrap_or_else(|_| "nubo-bench".into());
        let mut command = Command::new(own);
        command.args(["bare-route", &port.to_string()]);
        command
    }

    fn ready_path(&self) -> &'static str {
        "/ping"
    }
}
