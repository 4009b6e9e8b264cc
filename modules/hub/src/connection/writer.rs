//! Writes what the [courier](super::courier) could not, and the last words of a connection.

use std::{
    future::poll_fn,
    io::{Error, ErrorKind, Result},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;

use super::{Connection, outbox::Duty};
use crate::{close::Close, frame};

/// How long the last words of a connection may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Writes until the connection ends.
pub(crate) async fn write(connection: Arc<Connection>) {
    loop {
        match poll_fn(|context| connection.outbox.poll_duty(context)).await {
            Duty::Write => {
                let mut writing = pin!(write_rest(&connection));
                let written = tokio::select! {
                    biased;
                    written = &mut writing => written.is_ok(),
                    // Nobody takes anything at the other end. The frame that is under way must be
                    // finished before there can be a last one.
                    () = poll_fn(|context| connection.outbox.poll_hopeless(context)) => {
                        let last = tokio::time::timeout(LAST_WORDS, writing).await;
                        matches!(last, Ok(Ok(())))
                    }
                };
                if !written {
                    connection.close(Close::Over);
                    return;
                }
            }
            Duty::Close(close) => {
                // The client may be gone, or deaf; there is nothing more to do for it.
                drop(tokio::time::timeout(LAST_WORDS, say_goodbye(&connection, close)).await);
                return;
            }
        }
    }
}

async fn write_rest(connection: &Connection) -> Result<()> {
    while let Some(bytes) = connection.outbox.next() {
        write_all(connection, &bytes).await?;
    }
    Ok(())
}

async fn say_goodbye(connection: &Connection, close: Close) -> Result<()> {
    // The courier may have something in its hands: it lets go of the stream when it has settled
    // what is left of that.
    drop(connection.stream());
    write_rest(connection).await?;
    if let Some((code, reason)) = close.words() {
        write_all(connection, &frame::close(code, reason)).await?;
    }
    poll_fn(|context| match &mut *connection.stream() {
        Some(stream) => stream.as_mut().poll_shutdown(context),
        None => Poll::Ready(Ok(())),
    })
    .await
}

async fn write_all(connection: &Connection, bytes: &Bytes) -> Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        written += poll_fn(|context| poll_write(connection, context, &bytes[written..])).await?;
    }
    Ok(())
}

fn poll_write(
    connection: &Connection,
    context: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<Result<usize>> {
    match &mut *connection.stream() {
        Some(stream) => stream
            .as_mut()
            .poll_write(context, bytes)
            .map(|written| match written {
                Ok(0) => Err(Error::from(ErrorKind::WriteZero)),
                written => written,
            }),
        None => Poll::Ready(Err(Error::from(ErrorKind::NotConnected))),
    }
}
