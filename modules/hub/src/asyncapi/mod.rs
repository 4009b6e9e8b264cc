//! The AsyncAPI 3.0 document: everything that is said over the WebSocket, made from the collections.
//!
//! There is one connection and there are many channels on it. The connection is a channel of the
//! document as well, on which clients ask and are answered ([`control`], and of each collection in
//! [`collections`]). What is heard on the others is in [`channels`]. Names are in two parts where a
//! collection is in them (`messages.created`), so that no collection can take another's.

mod channels;
mod collections;
mod control;
mod draft;
#[cfg(test)]
mod tests;

use nubo_core::{Problem, Violation, module::About, schema::Catalog};
use serde_json::{Value as Json, json};

use crate::{close::Close, handshake, settings::Settings};
use draft::Draft;

/// The document.
pub(crate) fn document(catalog: &Catalog, settings: &Settings, about: &About) -> Json {
    let mut draft = Draft::default();
    schemas(&mut draft);
    control::describe(&mut draft, settings);
    for collection in catalog.collections() {
        collections::describe_stored(&mut draft, catalog, collection);
    }
    for collection in catalog.flux() {
        collections::describe_flux(&mut draft, catalog, collection);
    }
    draft.connection(connection(settings));
    channels::describe(&mut draft, catalog);
    let (channels, operations, mut components) = draft.finish();
    components["securitySchemes"] = security_schemes();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": format!("{}: live", about.title),
            "version": about.version,
            "description": "Changes and messages over one WebSocket, live and in order, each to \
                those who may see it; and writes, as the routes of the OpenAPI document take them.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "plain": server("ws", "localhost:8080", about),
            "encrypted": server("wss", "localhost", about),
        },
        "channels": channels,
        "operations": operations,
        "components": components,
    })
}

fn server(protocol: &str, host: &str, about: &About) -> Json {
    let mut server = json!({
        "host": "{host}",
        "protocol": protocol,
        "variables": { "host": {
            "default": host,
            "description": "Where the server is, with its port where that is not the usual one.",
        } },
        "security": [
            { "$ref": "#/components/securitySchemes/bearer" },
            { "$ref": "#/components/securitySchemes/subprotocol" },
        ],
    });
    if !about.base_path.is_empty() {
        server["pathname"] = about.base_path.as_str().into();
    }
    server
}

fn security_schemes() -> Json {
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token that signing up, signing in and refreshing give, in \
                the header `Authorization` of the handshake.",
        },
        "subprotocol": {
            "type": "httpApiKey",
            "in": "header",
            "name": "Sec-WebSocket-Protocol",
            "description": format!(
                "The same where headers cannot be set, as in browsers: the list of subprotocols is \
                 `{}, {}<access token>`.",
                handshake::PROTOCOL,
                handshake::TOKEN,
            ),
        },
    })
}

/// The connection itself: how it begins and how it ends.
fn connection(settings: &Settings) -> Json {
    let without = match (settings.anonymous, settings.auth_message) {
        (true, _) => "Without a token one sees what everybody may see; `auth` may bring it later.",
        (false, true) => "Without a token the first message must be `auth`, within 10 s.",
        (false, false) => "Without a token the answer is 401.",
    };
    let closes = Close::ALL.iter().filter_map(|close| close.words());
    let closes: Vec<Json> = closes
        .map(|(code, reason)| json!({ "code": code, "reason": reason }))
        .collect();
    json!({
        "address": "/ws",
        "title": "The connection",
        "description": format!(
            "One connection carries all channels. {without} Messages of one connection are worked \
             off in their order; one without `id` is answered only if it failed. A message has at \
             most {} bytes, and a client sends at most {} messages a second, for a moment twice as \
             many.",
            settings.max_message, settings.max_messages_per_second,
        ),
        "bindings": { "ws": {
            "method": "GET",
            "headers": {
                "type": "object",
                "properties": {
                    "Authorization": {
                        "type": "string",
                        "description": "`Bearer` and the access token.",
                    },
                    "Sec-WebSocket-Protocol": {
                        "type": "string",
                        "description": "The subprotocols, where wanted with the access token.",
                    },
                    "Origin": {
                        "type": "string",
                        "description": "What browsers send: the server's own, or one of \
                            `server.cors.origins`; else 403.",
                    },
                },
            },
            "bindingVersion": "0.1.0",
        } },
        "x-close-codes": closes,
    })
}

/// What messages have in common.
fn schemas(draft: &mut Draft) {
    let mut problem = Problem::json_schema();
    problem["properties"]["retry_after"] = json!({
        "type": "integer",
        "minimum": 0,
        "description": "Seconds after which to try again.",
    });
    draft.schema("Problem", problem);
    draft.schema("Violation", Violation::json_schema());
    draft.schema(
        "RequestId",
        json!({
            "type": ["string", "number"],
            "description": "Of the client's choice; the answer has the same.",
        }),
    );
    draft.schema(
        "Position",
        json!({
            "type": "string",
            "pattern": "^[0-9a-f]+-[0-9]+$",
            "description": "A place in a channel. Positions grow; `since` takes the last one seen.",
            "examples": ["1a2b3c-42"],
        }),
    );
    draft.schema(
        "Operators",
        json!({
            "type": "object",
            "description": "Operators, such as `{\"$inc\":{\"likes\":1}}`. The OpenAPI document has \
                what each of them takes.",
            "patternProperties": { "^[$][A-Za-z]+$": { "type": "object" } },
            "additionalProperties": false,
            "minProperties": 1,
        }),
    );
}
