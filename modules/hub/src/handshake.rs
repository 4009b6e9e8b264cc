//! `GET /ws`: who may connect, and how the connection begins (RFC 6455 §4.2).

use std::sync::Arc;

use nubo_core::{
    Error, Result,
    caller::Caller,
    clock,
    sessions::{Identity, SignedIn},
};
use poem::{
    Endpoint, Request, Response,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use tungstenite::handshake::derive_accept_key;

use crate::{
    connection::{Connection, reader, writer},
    dispatch::Command,
    event,
    hub::Hub,
};

/// The subprotocol that is spoken.
pub(crate) const PROTOCOL: &str = "nubo.v1";
/// What a token begins with in the list of subprotocols.
pub(crate) const TOKEN: &str = "bearer.";

/// The endpoint.
pub(crate) struct Handshake(pub Arc<Hub>);

impl Endpoint for Handshake {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(match connect(&self.0, &request).await {
            Ok(response) => response,
            Err(Refusal::Upgrade) => upgrade_required(),
            Err(Refusal::Error(error)) => error.response(),
        })
    }
}

/// Why a connection does not begin.
enum Refusal {
    /// The request is no handshake.
    Upgrade,
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

async fn connect(hub: &Arc<Hub>, request: &Request) -> Result<Response, Refusal> {
    if request.method() != poem::http::Method::GET {
        return Err(Refusal::Error(Error::MethodNotAllowed {
            method: request.method().to_string(),
            allow: "GET".into(),
        }));
    }
    let headers = request.headers();
    let key = handshake_key(headers).ok_or(Refusal::Upgrade)?;
    check_origin(headers, &hub.origins)?;
    let protocols = protocols(headers);
    let shown = shown(hub, request, &protocols).await?;
    let settings = &hub.limits.settings;
    if shown.is_none() && !settings.anonymous && !settings.auth_message {
        return Err(Error::missing_token().into());
    }
    let account = shown
        .as_ref()
        .and_then(|(signed_in, _)| signed_in.caller.account_id());
    let mut room = hub.connections.make_room(account, settings)?;
    let upgrade = request.take_upgrade().map_err(|_| Refusal::Upgrade)?;
    let now = hub.clock.now();
    let id = clock::new_id(&*hub.clock, &*hub.random);
    let shown = shown
        .as_ref()
        .map(|(signed_in, token)| (signed_in.clone(), &**token));
    let connection = Arc::new(Connection::new(id, shown, hub.courier(), &hub.limits, now));
    connection.send(event::welcome(id, account, connection.expires_at()));
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        // Who hangs up now has never been there.
        let Ok(stream) = upgrade.await else {
            return;
        };
        room.take(&connection);
        if let Err(error) = hub
            .order(|reply| Command::Came {
                connection: Arc::clone(&connection),
                reply,
            })
            .await
        {
            tracing::warn!(%error, "somebody who is connected does not count as such yet");
        }
        connection.begin(Box::pin(stream));
        let writing = tokio::spawn(writer::write(Arc::clone(&connection)));
        reader::read(Arc::clone(&hub), Arc::clone(&connection)).await;
        if hub
            .commands
            .send(Command::Gone(Arc::clone(&connection)))
            .await
            .is_err()
        {
            tracing::debug!("the dispatcher has stopped before a connection");
        }
        if let Err(error) = writing.await {
            tracing::error!(%error, "the writer of a connection");
        }
        connection.end();
        drop(room);
    });
    Ok(switching(&key, protocols.contains(&PROTOCOL)))
}

/// The key of a handshake, where the request is one.
fn handshake_key(headers: &HeaderMap) -> Option<Vec<u8>> {
    let has = |name: HeaderName, word: &str| {
        let values = headers.get_all(name).iter();
        let mut words = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    let is_handshake = has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    is_handshake.then(|| key.as_bytes().to_vec())
}

/// 403 for pages of others: a browser sends their requests too.
fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<()> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, host)| host);
    let is_own = own.is_some() && own == host;
    if is_own
        || allowed
            .iter()
            .any(|allowed| allowed == "*" || allowed == origin)
    {
        return Ok(());
    }
    Err(Error::Forbidden {
        code: "foreign_origin",
        detail: "pages of this origin may not connect; server.cors.origins names those that may"
            .into(),
    })
}

/// What the client offers to speak.
fn protocols(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect()
}

/// Who connects: the header says it, or where it cannot, a subprotocol.
async fn shown(
    hub: &Hub,
    request: &Request,
    protocols: &[&str],
) -> Result<Option<(SignedIn, Box<str>)>> {
    if let Some(token) = protocols.iter().find_map(|name| name.strip_prefix(TOKEN)) {
        let signed_in = hub.sessions.authenticate(token).await?;
        return Ok(Some((signed_in, token.into())));
    }
    let caller = nubo_core::sessions::caller(request)?;
    let token = request.headers().get(header::AUTHORIZATION);
    let token = token.and_then(|value| value.to_str().ok()?.split_once(' '));
    match (caller, request.data::<Identity>(), token) {
        (Caller::Anonymous, ..) => Ok(None),
        (_, Some(Identity::SignedIn(signed_in)), Some((_, token))) => {
            Ok(Some((signed_in.clone(), token.trim().into())))
        }
        _ => Ok(None),
    }
}

/// 101
fn switching(key: &[u8], speaks: bool) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .finish();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if speaks {
        let protocol = HeaderValue::from_static(PROTOCOL);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// 426
fn upgrade_required() -> Response {
    let error = Error::bad_request("not_a_handshake", "this path speaks WebSocket only");
    let mut response = error.response();
    response.set_status(StatusCode::UPGRADE_REQUIRED);
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response
}
