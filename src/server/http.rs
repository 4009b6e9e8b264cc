//! HTTP/1.1 over TCP: accepts connections, has an endpoint answer what comes over them, and ends
//! them in order.
//!
//! hyper is driven here and not through poem's own server, which puts every connection behind a lock
//! and two allocations, waits for the head of a request for ever, and has no say in either. HTTP/2
//! and TLS are matters of a proxy in front.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Endpoint, IntoEndpoint, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
};

/// How long to wait before accepting again where that has failed. Out of file descriptors, most
/// likely: trying again at once would only burn time.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// How long connections are kept.
pub(super) struct Patience {
    /// How long a connection may be without a request, and how long the head of one may take.
    pub idle: Duration,
    /// How long requests under way may still take at the end.
    pub grace: Duration,
}

/// Serves until `stop` resolves, and then until every request under way is answered or the grace is
/// over.
pub(super) async fn serve<E>(
    listener: TcpListener,
    endpoint: E,
    patience: Patience,
    stop: impl Future<Output = ()>,
) where
    E: IntoEndpoint,
    E::Endpoint: Endpoint<Output = Response> + 'static,
{
    let endpoint = Arc::new(endpoint.into_endpoint());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(patience.idle);
    let (stopping, told) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => {
                    let remote = RemoteAddr(remote.into());
                    connections.spawn(connection(
                        http.clone(),
                        stream,
                        remote,
                        Arc::clone(&endpoint),
                        told.clone(),
                    ));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            },
            Some(ended) = connections.join_next() => report(ended),
        }
    }
    // Whoever connects now is refused by the system, and not left waiting.
    drop(listener);
    stopping.send_replace(());
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(patience.grace, all).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut off requests that were not answered in time"
        );
        connections.shutdown().await;
    }
}

/// Serves one connection until either side has had enough.
async fn connection<E>(
    http: http1::Builder,
    stream: TcpStream,
    remote: RemoteAddr,
    endpoint: Arc<E>,
    mut told: watch::Receiver<()>,
) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    // Answers on connections that are kept alive would suffer from Nagle's delay.
    stream.set_nodelay(true)?;
    let local = LocalAddr(stream.local_addr()?.into());
    let service = service_fn(|request: Request<Incoming>| {
        let request = (request, local.clone(), remote.clone(), Scheme::HTTP).into();
        let endpoint = Arc::clone(&endpoint);
        async move {
            let response = endpoint.get_response(request).await;
            Ok::<_, Infallible>(hyper::Response::from(response))
        }
    });
    let serving = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        // An error would mean that the server is gone.
        _ = told.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        // What clients do to their connections is no matter of the server's.
        tracing::debug!(%error, "a connection has ended");
    }
    Ok(())
}

fn report(ended: Result<io::Result<()>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection was gone before it began"),
        Err(error) => tracing::error!(%error, "a connection's task"),
    }
}
