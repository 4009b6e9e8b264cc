//! Refresh tokens: exchanged at each use, forgiving to two tabs, unforgiving to thieves.

use std::{thread, time::Duration, time::Instant};

use serde_json::{Value as Json, json};

use crate::{CONFIGURATION, Person, server::Client, server::text, shared, site};

#[track_caller]
fn refresh(client: &Client, token: &str) -> Json {
    let body = json!({ "refresh_token": token });
    client.post("/refresh", &body).expect(200)
}

#[test]
fn a_refresh_token_is_exchanged_for_the_next() {
    let person = Person::signed_up(shared());
    let second = refresh(shared(), &person.refresh);
    assert_eq!(second["token_type"], "Bearer");
    assert_ne!(second["refresh_token"], person.refresh.as_str());
    let third = refresh(shared(), &text(&second["refresh_token"]));
    assert_ne!(third["refresh_token"], second["refresh_token"]);
    let token = text(&third["access_token"]);
    crate::with_token(shared(), "GET", "/me", &token).expect(200);
    // It is one session all the time.
    let sessions = person.asks(shared(), "GET", "/me/sessions").expect(200);
    assert_eq!(sessions["data"].as_array().unwrap().len(), 1);
}

#[test]
fn two_tabs_that_refresh_at_once_get_the_same_token() {
    let person = Person::signed_up(shared());
    let tokens: Vec<String> = thread::scope(|scope| {
        let tabs: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| text(&refresh(shared(), &person.refresh)["refresh_token"])))
            .collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_ne!(tokens[0], person.refresh);
    refresh(shared(), &tokens[0]);
}

#[test]
fn a_token_that_comes_back_late_ends_the_session() {
    let configuration = format!("{CONFIGURATION}  tokens: {{ reuse_grace: 50ms }}\n");
    let site = site(&configuration);
    let root = crate::users::admin(&site);
    let server = site.start();
    let person = Person::signed_up(&server);
    let other_device = person.again(&server);
    let next = refresh(&server, &person.refresh);
    // The grace is over some time after the exchange.
    let until = Instant::now() + Duration::from_secs(30);
    let body = json!({ "refresh_token": person.refresh });
    let refusal = loop {
        let answer = server.post("/refresh", &body);
        if answer.status != 200 || Instant::now() > until {
            break answer;
        }
    };
    refusal.problem(401, "reused_refresh_token");
    // Whoever got the newer one is out too, whichever of the two is the thief.
    let token = text(&next["access_token"]);
    crate::with_token(&server, "GET", "/me", &token).problem(401, "revoked_token");
    let body = json!({ "refresh_token": next["refresh_token"] });
    server.post("/refresh", &body).expect(401);
    // Another sign-in is another family.
    other_device.asks(&server, "GET", "/me").expect(200);

    let root = root.again(&server);
    let entries = root.asks(&server, "GET", "/audit_logs").expect(200);
    let entry = &entries["data"][0];
    assert_eq!(entry["action"], "refresh_token_reused", "{entries}");
    assert_eq!(entry["actor_id"], person.id.as_str());
    assert_eq!(entry["collection"], "sessions");
    assert_eq!(entry["ip"], "127.0.0.1");
}

#[test]
fn what_is_no_refresh_token_is_refused_and_harms_nobody() {
    let person = Person::signed_up(shared());
    let mut forged = person.refresh.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    let longer = format!("{}AAAA", person.refresh);
    for token in ["", "nonsense", &forged, &longer, &person.access] {
        let body = json!({ "refresh_token": token });
        let answer = shared().post("/refresh", &body);
        answer.problem(401, "invalid_refresh_token");
    }
    shared().post("/refresh", &json!({})).expect(422);
    refresh(shared(), &person.refresh);
}

#[test]
fn sessions_and_tokens_outlive_the_server() {
    let site = site(CONFIGURATION);
    let server = site.start();
    let person = Person::signed_up(&server);
    server.kill();
    let server = site.start();
    person.asks(&server, "GET", "/me").expect(200);
    let next = refresh(&server, &person.refresh);
    let token = text(&next["refresh_token"]);
    server.stop();
    let server = site.start();
    refresh(&server, &token);
}
