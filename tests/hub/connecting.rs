//! Who may connect, and how connections end.

use serde_json::json;
use tungstenite::http::HeaderValue;

use crate::{
    command_line::{done, pipe},
    people::{PASSWORD, Person},
    shared, site,
    socket::{Socket, request},
};

#[test]
fn a_connection_begins_with_a_welcome() {
    let ada = Person::new(shared());
    let mut socket = ada.connect();
    assert_eq!(socket.welcome["protocol"], 1);
    assert_eq!(socket.welcome["account"], *ada.id);
    assert!(socket.welcome["expires_at"].is_string());
    let answer = socket.done(json!({ "op": "ping" }));
    assert!(answer["time"].is_string());
}

#[test]
fn without_a_good_token_there_is_none() {
    let ada = Person::new(shared());
    for (token, code) in [
        (None, "missing_token"),
        (Some("nonsense"), "malformed_token"),
        (Some(&*format!("{}x", ada.token)), "invalid_signature"),
    ] {
        let refused = Socket::try_open(shared(), request(shared(), token));
        let (status, problem) = refused.err().unwrap();
        assert_eq!((status, problem["code"].as_str()), (401, Some(code)));
    }
    let plain = shared().get("/ws");
    assert_eq!(plain.status, 426);
}

#[test]
fn browsers_put_the_token_into_a_subprotocol() {
    let ada = Person::new(shared());
    let mut with_protocol = request(shared(), None);
    let protocols = format!("nubo.v1, bearer.{}", ada.token);
    let headers = with_protocol.headers_mut();
    let value = HeaderValue::from_str(&protocols).unwrap();
    headers.insert("sec-websocket-protocol", value);
    let socket = Socket::try_open(shared(), with_protocol).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(socket.welcome["account"], *ada.id);
}

#[test]
fn pages_of_others_are_refused() {
    let ada = Person::new(shared());
    for (origin, welcome) in [
        ("https://evil.example", false),
        ("null", false),
        (&*format!("http://{}", shared().address()), true),
    ] {
        let mut with_origin = request(shared(), Some(&ada.token));
        let value = HeaderValue::from_str(origin).unwrap();
        with_origin.headers_mut().insert("origin", value);
        match Socket::try_open(shared(), with_origin) {
            Ok(_) => assert!(welcome, "{origin}"),
            Err((status, problem)) => {
                assert!(!welcome, "{origin}");
                assert_eq!((status, &problem["code"]), (403, &json!("foreign_origin")));
            }
        }
    }
}

#[test]
fn the_end_of_a_session_ends_its_connections_and_no_others() {
    let ada = Person::new(shared());
    let elsewhere = Person::sign_in(shared(), &ada.name);
    let mut here = ada.connect();
    let mut there = elsewhere.connect();
    let logout = ada.sends("POST", "/logout", &json!({}));
    assert_eq!(logout.status, 204);
    assert_eq!(here.closed(), Some(4003));
    there.done(json!({ "op": "ping" }));
    // A new password ends all other sessions.
    let change = json!({ "current_password": PASSWORD, "new_password": "another quiet evening" });
    let third = Person::sign_in(shared(), &ada.name);
    let answer = third.sends("POST", "/me/password", &change);
    assert!(answer.status < 300, "{}", answer.status);
    assert_eq!(there.closed(), Some(4003));
}

#[test]
fn a_new_token_prolongs_and_must_be_of_the_same_account() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let mut socket = ada.connect();
    let again = Person::sign_in(shared(), &ada.name);
    let ok = socket.done(json!({ "op": "auth", "token": again.token }));
    assert_eq!(ok["account"], *ada.id);
    let refused = socket.refused(json!({ "op": "auth", "token": bob.token }));
    assert_eq!(refused, (403, "other_account".into()));
    let refused = socket.refused(json!({ "op": "auth", "token": "x" }));
    assert_eq!(refused, (401, "malformed_token".into()));
    // From now on it hangs on the new session.
    ada.sends("POST", "/logout", &json!({}));
    socket.done(json!({ "op": "ping" }));
    again.sends("POST", "/logout", &json!({}));
    assert_eq!(socket.closed(), Some(4003));
}

#[test]
fn an_administrator_disconnects_somebody() {
    let site = site("");
    let server = site.start();
    let (ada, bob) = (Person::new(&server), Person::new(&server));
    let (mut hers, mut second, mut his) = (ada.connect(), ada.connect(), bob.connect());
    done(&pipe(&site, &["users", "kick", &ada.name], ""));
    assert_eq!(hers.closed(), Some(4004));
    assert_eq!(second.closed(), Some(4004));
    his.done(json!({ "op": "ping" }));
    // She is still signed in.
    ada.connect().done(json!({ "op": "ping" }));
    let unknown = pipe(&site, &["users", "kick", "nobody"], "");
    assert!(!unknown.status.success());
}
