//! Guessing is slow: who tries too often is asked to wait.

use serde_json::json;

use crate::{PASSWORD, Person, application, fresh_name, server::Server, site};

const CONFIGURATION: &str = "\
server: { trusted_proxies: [127.0.0.1] }
auth:
  passwords: { memory_kib: 64, iterations: 1 }
";

/// A request that a proxy passed on for an address.
fn from(server: &Server, address: &str, path: &str, body: &serde_json::Value) -> u16 {
    let request = server
        .request("POST", path)
        .header("x-forwarded-for", address);
    let answer = request.json(body).send();
    if answer.status == 429 {
        let wait = answer
            .header("retry-after")
            .and_then(|wait| wait.parse::<u64>().ok());
        assert!(wait.is_some_and(|wait| wait > 0), "{wait:?}");
        answer.problem(429, "too_many_requests");
    }
    answer.status
}

#[test]
fn guessing_at_one_account_is_slow_from_everywhere() {
    let server = site(CONFIGURATION).start();
    let person = Person::signed_up(&server);
    let guess = json!({ "identifier": person.name, "password": "a wrong guess" });
    let mut refused = 0;
    for number in 0..40 {
        let address = format!("203.0.113.{number}");
        refused += u32::from(from(&server, &address, "/login", &guess) == 429);
    }
    assert!(refused >= 20, "{refused}");
    // An account that does not exist is no different.
    let name = fresh_name();
    let guess = json!({ "identifier": name, "password": "a wrong guess" });
    let mut refused = 0;
    for number in 0..40 {
        let address = format!("203.0.113.{number}");
        refused += u32::from(from(&server, &address, "/login", &guess) == 429);
    }
    assert!(refused >= 20, "{refused}");
    // Who knows the password of another one is let in.
    let other = Person::signed_up(&server);
    other.again(&server);
}

#[test]
fn one_address_cannot_try_everything() {
    let server = site(CONFIGURATION).start();
    let mut refused = 0;
    for _ in 0..200 {
        let guess = json!({ "identifier": fresh_name(), "password": "a wrong guess" });
        refused += u32::from(from(&server, "198.51.100.7", "/login", &guess) == 429);
    }
    assert!(refused > 0);
    let guess = json!({ "identifier": fresh_name(), "password": "a wrong guess" });
    assert_eq!(from(&server, "198.51.100.8", "/login", &guess), 401);
    let mut refused = 0;
    for _ in 0..200 {
        let application = application(&fresh_name());
        refused += u32::from(from(&server, "198.51.100.9", "/signup", &application) == 429);
    }
    assert!(refused > 0);
}

#[test]
fn an_address_that_no_trusted_proxy_names_is_not_believed() {
    let untrusting = CONFIGURATION.replace("127.0.0.1", "192.0.2.1");
    let server = site(&untrusting).start();
    let mut refused = 0;
    for number in 0..200 {
        let guess = json!({ "identifier": fresh_name(), "password": "a wrong guess" });
        let address = format!("203.0.113.{}", number % 250);
        refused += u32::from(from(&server, &address, "/login", &guess) == 429);
    }
    assert!(refused > 0);
}

#[test]
fn guesses_of_others_do_not_keep_anybody_from_their_own_password() {
    let server = site(CONFIGURATION).start();
    let person = Person::signed_up(&server);
    for identifier in [&person.id, &person.name] {
        let guess = json!({ "identifier": identifier, "password": "a wrong guess" });
        for number in 0..20 {
            from(&server, &format!("203.0.113.{number}"), "/login", &guess);
        }
    }
    let change = json!({ "current_password": PASSWORD, "new_password": "an early morning" });
    person
        .sends(&server, "POST", "/me/password", &change)
        .expect(204);
}
