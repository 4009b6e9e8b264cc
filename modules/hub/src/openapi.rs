//! What the OpenAPI document says of `/ws`. What is spoken there is in the AsyncAPI document.

use serde_json::{Value as Json, json};

pub(crate) fn fragment() -> Json {
    json!({
        "tags": [{ "name": "realtime", "description": "Changes and messages, live." }],
        "paths": { "/ws": { "get": {
            "operationId": "connect",
            "tags": ["realtime"],
            "summary": "Open a WebSocket",
            "description": "The handshake of a WebSocket (RFC 6455). Where headers cannot be set, \
                the access token goes into the list of subprotocols: `nubo.v1, bearer.<token>`.",
            "security": [{ "bearer": [] }, {}],
            "responses": {
                "101": { "description": "The connection is open." },
                "401": { "$ref": "#/components/responses/Unauthorized" },
                "403": { "$ref": "#/components/responses/Forbidden" },
                "426": { "description": "The request is no handshake.", "content": {
                    "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } }
                } },
                "429": { "$ref": "#/components/responses/TooManyRequests" },
                "503": { "$ref": "#/components/responses/ServiceUnavailable" },
            },
        } }, "/asyncapi.json": { "get": {
            "operationId": "asyncapi",
            "tags": ["documentation"],
            "summary": "What is said over the WebSocket",
            "responses": { "200": {
                "description": "An AsyncAPI 3.0 document.",
                "content": { "application/json": { "schema": { "type": "object" } } },
            } },
        } } },
    })
}
