//! Listening, serving, and stopping in order: no new connections, what is under way is finished,
//! what was written is closed.

use std::{io, net::SocketAddr, time::Duration};

use nubo_core::module::SetupError;
use tokio::net::TcpListener;

use super::{
    Assembly,
    http::{self, Patience},
    identify::Identify,
    routes,
};
use crate::control::Control;

/// Serves until the process is told to stop.
///
/// # Errors
/// When the address cannot be used, or the store cannot be opened.
pub async fn serve(mut assembly: Assembly) -> Result<(), SetupError> {
    let settings = assembly.loaded.settings.server.clone();
    let address = settings.listen.0;
    // Taken before anything else, so that a second server fails before it touches the data.
    let listener = bind(address).await?;
    let told = told_to_stop()?;
    let local = listener.local_addr().unwrap_or(address);
    let open = assembly.open().await?;
    let mut contributions = std::mem::take(&mut assembly.contributions);
    let sessions = contributions.iter_mut().find_map(|c| c.sessions.take());
    let tree = routes::tree(contributions, &settings.base_path.0)?;
    let edge = assembly.edge(Identify {
        routes: tree,
        sessions,
        trusted_proxies: settings.trusted_proxies.iter().map(|net| net.0).collect(),
    })?;
    let control = control(&assembly);
    banner(&assembly, local);
    let patience = Patience {
        idle: settings.idle_timeout.0,
        grace: settings.shutdown_grace.0,
    };
    http::serve(listener, edge, patience, stop(&assembly, told)).await;
    if let Some(control) = control {
        control.stop().await;
    }
    // Whoever was cut off got no answer; what was acknowledged is on disk already.
    let closed = tokio::time::timeout(Duration::from_secs(30), assembly.close(open)).await;
    if closed.is_err() {
        tracing::error!("the store did not close in 30 s");
    }
    tracing::info!("stopped");
    Ok(())
}

/// The socket for orders from the command line. The server does its work without one.
fn control(assembly: &Assembly) -> Option<Control> {
    let administration = assembly.administration();
    match Control::start(&assembly.loaded.settings.data, administration) {
        Ok(control) => Some(control),
        Err(error) => {
            tracing::warn!(%error, "`nubo users` and `nubo cache` cannot reach this server");
            None
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, SetupError> {
    TcpListener::bind(address).await.map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "the address {address} is in use by another program; stop it, or choose another \
                 port with --listen, PORT or server.listen"
            ),
            io::ErrorKind::PermissionDenied => {
                format!("this user may not listen on {address}; ports below 1024 are for root")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("this machine has no address {}", address.ip())
            }
            _ => format!("cannot listen on {address}"),
        };
        SetupError::caused(message, error)
    })
}

/// Says where everything is.
fn banner(assembly: &Assembly, local: SocketAddr) {
    let settings = &assembly.loaded.settings;
    let url = format!("http://{local}{}", settings.server.base_path.0);
    tracing::info!(
        "Nubo {} with {} collections",
        env!("CARGO_PKG_VERSION"),
        assembly.catalog.collections().len()
    );
    tracing::info!("API   {url}");
    if assembly.loaded.is_on("openapi") {
        tracing::info!("docs  {url}/docs");
    }
    tracing::info!("data  {}", settings.data.display());
}

/// Resolves when the process is told to stop; from then on `/ready` says so.
async fn stop(assembly: &Assembly, told: impl Future<Output = ()>) {
    told.await;
    let drain = &assembly.drain;
    tracing::info!(in_flight = drain.in_flight(), "stopping");
    drain.close();
    assembly.drain().await;
}

/// The signals that tell the process to stop. They are heard from here on, whoever waits for them
/// when: one that comes before would end the process where it stands.
#[cfg(unix)]
fn told_to_stop() -> Result<impl Future<Output = ()>, SetupError> {
    use tokio::signal::unix::{SignalKind, signal};
    let hear = |kind| signal(kind).map_err(|error| SetupError::caused("signals", error));
    let mut terminate = hear(SignalKind::terminate())?;
    let mut interrupt = hear(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The same where there is nothing but ctrl-c.
#[cfg(not(unix))]
fn told_to_stop() -> Result<impl Future<Output = ()>, SetupError> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "ctrl-c cannot be heard");
            std::future::pending::<()>().await;
        }
    })
}
