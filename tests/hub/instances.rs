//! Two servers on one PostgreSQL and one Redis are one server to whoever asks.

use serde_json::{Value as Json, json};

use crate::{
    people::{PASSWORD, Person},
    redis::Redis,
    server::{Answer, Server, Site, truth::postgres::Database},
};

const CONFIGURATION: &str = "\
tiers: { cache: { redis: { timeout: 5s } } }
server: { trusted_proxies: [127.0.0.1] }
auth:
  passwords: { memory_kib: 64, iterations: 1 }
";

/// Two servers, and what they share.
struct Pair {
    first: Server,
    second: Server,
    redis: Redis,
    _database: Database,
}

impl Pair {
    fn start(throttle: &str) -> Self {
        let (database, redis) = (Database::new(), Redis::start());
        let server = || {
            let site = Site::sharing(&database.url, &redis.url());
            site.fill("collections");
            let configuration = format!("{CONFIGURATION}  throttle: {throttle}\n");
            site.file("nubo.yaml", &configuration);
            site.start()
        };
        let first = server();
        Self {
            second: server(),
            first,
            redis,
            _database: database,
        }
    }

    fn open() -> Self {
        Self::start("{ enabled: false }")
    }
}

/// The same person, speaking to another server.
fn at<'a>(server: &'a Server, person: &Person<'_>) -> Person<'a> {
    Person {
        client: server,
        id: person.id.clone(),
        name: person.name.clone(),
        token: person.token.clone(),
    }
}

fn asks(person: &Person<'_>, method: &str, path: &str) -> Answer {
    let request = person.client.request(method, path);
    let bearer = format!("Bearer {}", person.token);
    request.header("authorization", &bearer).send()
}

#[test]
fn who_logs_out_on_one_is_refused_on_the_other_at_once() {
    let pair = Pair::open();
    for round in 0..20 {
        let (near, far) = match round % 2 {
            0 => (&pair.first, &pair.second),
            _ => (&pair.second, &pair.first),
        };
        let here = Person::new(near);
        let there = at(far, &here);
        // The other server has seen the session, and let it in.
        for _ in 0..3 {
            assert_eq!(there.gets("/me")["id"], json!(here.id));
        }
        here.sends("POST", "/logout", &json!({})).expect(204);
        asks(&there, "GET", "/me").problem(401, "revoked_token");
        asks(&here, "GET", "/me").problem(401, "revoked_token");
    }
}

#[test]
fn a_password_that_is_changed_on_one_ends_the_sessions_on_the_other() {
    let pair = Pair::open();
    let present = Person::new(&pair.first);
    let other = Person::sign_in(&pair.second, &present.name);
    other.gets("/me");
    let change = json!({ "current_password": PASSWORD, "new_password": "an early morning" });
    present.sends("POST", "/me/password", &change).expect(204);
    asks(&other, "GET", "/me").problem(401, "revoked_token");
    at(&pair.second, &present).gets("/me");
    // What is deleted is as gone as what is revoked.
    asks(&at(&pair.second, &present), "DELETE", "/me").expect(204);
    asks(&present, "GET", "/me").problem(401, "revoked_token");
}

#[test]
fn a_connection_to_one_ends_when_its_session_ends_on_the_other() {
    let pair = Pair::open();
    let phone = Person::new(&pair.first);
    let desk = Person::sign_in(&pair.first, &phone.name);
    let mut closing = at(&pair.second, &phone).connect();
    let mut staying = at(&pair.second, &desk).connect();
    phone.sends("POST", "/logout", &json!({})).expect(204);
    assert_eq!(closing.closed(), Some(4003));
    // The other session of the same account goes on.
    staying.subscribe("posts");
    desk.sends("POST", "/logout", &json!({})).expect(204);
    assert_eq!(staying.closed(), Some(4003));
}

#[test]
fn attempts_are_counted_together() {
    let pair = Pair::start("{ login_per_account: { burst: 6, per: 1h } }");
    let person = Person::new(&pair.first);
    let guess = json!({ "identifier": person.name, "password": "a wrong guess" });
    let attempt = |number: usize, body: &Json| {
        let server = [&pair.first, &pair.second][number % 2];
        let request = server.request("POST", "/login");
        let request = request.header("x-forwarded-for", &format!("203.0.113.{number}"));
        request.json(body).send().status
    };
    let answers: Vec<u16> = (0..20).map(|number| attempt(number, &guess)).collect();
    assert_eq!(answers[..6], [401; 6], "{answers:?}");
    assert_eq!(answers[6..], [429; 14], "{answers:?}");
    let right = json!({ "identifier": person.name, "password": PASSWORD });
    assert_eq!([attempt(20, &right), attempt(21, &right)], [429; 2]);
}

#[test]
fn without_redis_people_still_sign_in_and_guessing_is_still_slow() {
    let mut pair = Pair::start("{ login_per_account: { burst: 3, per: 1h } }");
    let person = Person::new(&pair.first);
    pair.redis.kill();
    for server in [&pair.first, &pair.second] {
        Person::sign_in(server, &person.name);
        let guess = json!({ "identifier": person.name, "password": "a wrong guess" });
        let guesses = (0..5).map(|_| server.post("/login", &guess).status);
        let answers: Vec<u16> = guesses.collect();
        assert_eq!(answers, [401, 401, 401, 429, 429], "each counts alone");
    }
}
