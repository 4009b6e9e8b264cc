//! What of a request's body no route has read, because it was refused before that, say.
//!
//! Most clients listen for the answer only when they have sent everything. A server that answers
//! halfway and closes the connection leaves them with a broken pipe, and the answer that says why
//! is lost; so is the next request, where the client took the connection for a live one. So the
//! rest is taken in and thrown away, within limits, before the answer goes out (as nginx does with
//! `lingering_close`).

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use poem::{
    Body, Request,
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING},
    },
};

/// Most bytes that are thrown away. Whoever sends more finds the connection closed.
const MAX_DISCARDED: usize = 64 << 20;
/// Longest time that throwing away may take.
const PATIENCE: Duration = Duration::from_secs(5);

type Parts = BoxStream<'static, io::Result<Bytes>>;

/// Where the rest of a body is found after the routes are done with it.
#[derive(Default)]
pub(super) struct Leftover(Arc<Mutex<Option<Parts>>>);

impl Leftover {
    /// Watches over the body of a request that has one.
    pub(super) fn watch(request: &mut Request) -> Option<Self> {
        if !is_on_its_way(request.headers()) {
            return None;
        }
        let leftover = Self::default();
        let watched = Watched {
            parts: Some(request.take_body().into_bytes_stream().boxed()),
            rest: leftover.0.clone(),
        };
        request.set_body(Body::from_bytes_stream(watched));
        Some(leftover)
    }

    /// Takes the rest in.
    pub(super) async fn discard(self) {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut rest) = rest else {
            return;
        };
        let discarding = async {
            let mut discarded = 0;
            while let Some(Ok(part)) = rest.next().await {
                discarded += part.len();
                if discarded > MAX_DISCARDED {
                    break;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, discarding).await.is_err() {
            tracing::debug!("the rest of a body did not come in time");
        }
    }
}

/// Whether a body is coming. Whoever asks before sending has sent nothing yet, and is not to be
/// told to go on.
fn is_on_its_way(headers: &HeaderMap) -> bool {
    let announced = headers
        .get(CONTENT_LENGTH)
        .is_some_and(|length| length != "0");
    (announced || headers.contains_key(TRANSFER_ENCODING)) && !headers.contains_key(EXPECT)
}

/// A body that gives back what was not read of it.
struct Watched {
    /// None at its end.
    parts: Option<Parts>,
    rest: Arc<Mutex<Option<Parts>>>,
}

impl Stream for Watched {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(parts) = &mut self.parts else {
            return Poll::Ready(None);
        };
        let part = ready!(parts.poll_next_unpin(context));
        if !matches!(part, Some(Ok(_))) {
            self.parts = None;
        }
        Poll::Ready(part)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *rest = self.parts.take();
    }
}
