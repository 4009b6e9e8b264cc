//! What is said about the connection and its subscriptions, whatever the collections are.

use serde_json::{Value as Json, json};

use super::draft::{Draft, REFUSAL, answer, event, object, request, schema_ref, whole};
use crate::{event::PROTOCOL, request::MOST_EXPIRES_IN, settings::Settings};

/// Answers that say no more than that it is done.
pub(super) const DONE: &str = "done";
/// Names of the events that any channel may have.
pub(super) const ON_EVERY_CHANNEL: [&str; 2] = ["presence-changed", "reload"];
/// Name of what the devices of an account tell each other.
pub(super) const TOLD: &str = "told";

pub(super) fn describe(draft: &mut Draft, settings: &Settings) {
    greeting(draft);
    draft.said(
        REFUSAL,
        "It could not be carried out",
        whole(json!({
            "id": {
                "type": ["string", "number", "null"],
                "description": "Of the message; null where it had none.",
            },
            "error": schema_ref("Problem"),
        })),
    );
    draft.said(DONE, "It has been carried out", answer(&[], json!({})));
    auth(draft);
    subscribe(draft);
    presence(draft);
    ping(draft);
    account(draft);
    draft.event(
        "reload",
        "What may be seen here has changed otherwise than by its documents: read it again",
        event("reload", json!({ "reason": { "enum": ["access", "gap"] } })),
    );
    if settings.broadcast {
        broadcast(draft);
    }
}

pub(super) fn uuid() -> Json {
    json!({ "type": "string", "format": "uuid" })
}

fn moment() -> Json {
    json!({ "type": "string", "format": "date-time" })
}

fn nullable(mut schema: Json) -> Json {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn text(description: &str) -> Json {
    json!({ "type": "string", "description": description })
}

pub(super) fn expires_in() -> Json {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_EXPIRES_IN,
        "description": "After so many milliseconds it is of no interest any more.",
    })
}

fn accounts() -> Json {
    json!({ "type": "array", "items": uuid(), "description": "The accounts that are present." })
}

fn greeting(draft: &mut Draft) {
    draft.said(
        "welcome",
        "The first message: who one is",
        whole(json!({
            "event": { "const": "welcome" },
            "protocol": { "const": PROTOCOL },
            "connection": uuid(),
            "account": nullable(uuid()),
            "expires_at": nullable(moment()),
        })),
    );
    draft.said(
        "expiring",
        "The access token ends soon: send another with `auth`",
        whole(json!({ "event": { "const": "expiring" }, "expires_at": moment() })),
    );
    draft.told(
        "greet",
        "send",
        "Say who one is, and when that ends",
        &["welcome", "expiring"],
    );
}

fn auth(draft: &mut Draft) {
    draft.said(
        "auth",
        "Shows another access token",
        request(
            "auth",
            &["token"],
            json!({ "token": text("Of the same account, where the connection has one.") }),
        ),
    );
    draft.said(
        "authenticated",
        "The token holds",
        answer(
            &["account", "expires_at"],
            json!({ "account": nullable(uuid()), "expires_at": nullable(moment()) }),
        ),
    );
    draft.asked("auth", "Prolong the connection", "auth", "authenticated");
}

fn subscribe(draft: &mut Draft) {
    let channel = json!({ "channel": text("The address of a channel, with its parameters.") });
    draft.said(
        "subscribe",
        "Asks for what is heard on a channel",
        request(
            "subscribe",
            &["channel"],
            json!({
                "channel": channel["channel"],
                "collection": text("Nothing else than this collection."),
                "filter": {
                    "type": "object",
                    "description": "Nothing else than documents that match, as in `GET /c?filter=`. \
                        Needs a channel of one collection, or `collection`.",
                },
                "fields": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "Nothing else of a document than these and its `id`. Needs a \
                        channel of one collection, or `collection`.",
                },
                "since": schema_ref("Position"),
                "presence": {
                    "type": "boolean",
                    "default": false,
                    "description": "Show that the account is here, and tell who else is.",
                },
            }),
        ),
    );
    draft.said(
        "subscribed",
        "Live from a position on",
        answer(
            &["channel", "position"],
            json!({
                "channel": text("Its name, in which `me` is the account."),
                "position": schema_ref("Position"),
                "resumed": {
                    "type": "boolean",
                    "description": "Where `since` was given: whether what was missed follows. If \
                        not, it must be read again.",
                },
                "present": accounts(),
            }),
        ),
    );
    draft.said(
        "unsubscribe",
        "Wants to hear no more of a channel",
        request("unsubscribe", &["channel"], channel),
    );
    draft.asked(
        "subscribe",
        "Listen to a channel, in the place of what was asked of it before",
        "subscribe",
        "subscribed",
    );
    draft.asked(
        "unsubscribe",
        "Listen to a channel no more",
        "unsubscribe",
        DONE,
    );
}

fn presence(draft: &mut Draft) {
    draft.said(
        "presence",
        "Asks who is present on a channel",
        request(
            "presence",
            &["channel"],
            json!({ "channel": text("One that may be subscribed to.") }),
        ),
    );
    draft.said(
        "present",
        "Who is present",
        answer(&["present"], json!({ "present": accounts() })),
    );
    draft.asked(
        "presence",
        "Ask who is present on a channel",
        "presence",
        "present",
    );
    draft.event(
        "presence-changed",
        "An account has come, or gone; for those who show themselves",
        event(
            "presence",
            json!({ "account": uuid(), "state": { "enum": ["joined", "left"] } }),
        ),
    );
}

fn ping(draft: &mut Draft) {
    draft.said("ping", "A sign of life", request("ping", &[], json!({})));
    draft.said(
        "pong",
        "The server's time",
        answer(&["time"], json!({ "time": moment() })),
    );
    draft.asked("ping", "Ask for the time", "ping", "pong");
}

/// What the devices of an account tell each other.
fn account(draft: &mut Draft) {
    let document = json!({ "type": "object", "description": "Anything." });
    draft.said(
        "tell",
        "Tells the account's other connections something",
        request(
            "publish",
            &["channel", "document"],
            json!({
                "channel": {
                    "type": "string",
                    "pattern": "^user:",
                    "description": "`user:me`, or the account's id in the place of `me`.",
                },
                "document": document,
                "expires_in": expires_in(),
            }),
        ),
    );
    draft.asked(
        "publish.account",
        "Tell the account's other connections something",
        "tell",
        DONE,
    );
    draft.event(
        TOLD,
        "What another connection of the account says",
        event("published", json!({ "document": document })),
    );
}

fn broadcast(draft: &mut Draft) {
    draft.said(
        "text",
        "Text that is no JSON object, as it is",
        json!({ "type": "string" }),
    );
    draft.told(
        "broadcast",
        "receive",
        "Say something to every other connection; it is not answered",
        &["text"],
    );
    draft.told(
        "hear.broadcast",
        "send",
        "Hear what another connection says to all",
        &["text"],
    );
}

/// What is left of a document that is gone.
pub(super) fn remains() -> Json {
    object(&["id"], json!({ "id": uuid() }))
}
