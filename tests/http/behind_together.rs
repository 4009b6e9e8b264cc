//! `write: behind` where several servers share a PostgreSQL database, and what happens while nobody
//! can carry out what is queued.
//!
//! A session of the test takes the turn of whoever carries out, so that what is acknowledged stays in
//! the queue for as long as the test wants.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::{
    behind::{fill, visit},
    redis::Redis,
    server::{
        Server, Site, text,
        truth::postgres::{self, Database, Held},
    },
};

/// `nuboturn` in ASCII.
const TURN: &str = "SELECT pg_advisory_lock(7959376147281965678)";

/// Nothing is carried out until the value goes.
fn held(database: &Database) -> Held {
    database.hold(TURN)
}

fn site(database: &Database, queue: &str) -> Site {
    let site = Site::beside_others(&database.url);
    fill(&site);
    let configuration = format!("tiers: {{ truth: {{ queue: {queue} }} }}\n");
    site.file("nubo.yaml", &configuration);
    site
}

fn start(database: &Database, queue: &str) -> Server {
    site(database, queue).start()
}

fn queued(database: &Database) -> String {
    database.sql("SELECT count(*) FROM nubo.queue")
}

#[test]
fn whoever_reads_waits_and_is_told_when_that_takes_too_long() {
    let database = Database::new();
    let server = start(&database, "{ patience: 300ms }");
    let page = server.create_id("pages", &json!({}));
    let turn = held(&database);
    let accepted = visit(&server, &page, 1);
    let path = format!("/visits/{}", text(&accepted["id"]));
    let refused = server.get(&path);
    refused.problem(503, "writes_pending");
    assert_eq!(refused.header("retry-after"), Some("1"));
    for path in ["/visits", "/visits/count"] {
        server.get(path).problem(503, "writes_pending");
    }
    // So does whoever looks at what it causes, and whoever changes any of that.
    let pages = format!("/pages/{page}");
    server.get(&pages).problem(503, "writes_pending");
    for path in [&path, &pages] {
        server
            .patch(path, &json!({ "$unset": { "label": "" } }))
            .problem(503, "writes_pending");
        server.delete(path).problem(503, "writes_pending");
    }
    // Others do not.
    let note = server.create_id("notes", &json!({ "text": "x" }));
    server.read("notes", &note);
    // And more is accepted meanwhile.
    visit(&server, &page, 2);
    assert_eq!(queued(&database), "2");
    drop(turn);
    assert_eq!(server.read("visits", &text(&accepted["id"])), accepted);
    assert_eq!(server.read("pages", &page)["views"], 2);
}

#[test]
fn the_queue_has_an_end() {
    let database = Database::new();
    let server = start(&database, "{ most: 3 }");
    let page = server.create_id("pages", &json!({}));
    let turn = held(&database);
    for n in 0..3 {
        visit(&server, &page, n);
    }
    let full = server.post("/visits", &json!({ "page": page }));
    full.problem(503, "queue_full");
    assert_eq!(full.header("retry-after"), Some("1"));
    drop(turn);
    assert_eq!(server.count("visits", &json!({})), 3);
    visit(&server, &page, 3);
    assert_eq!(server.count("visits", &json!({})), 4);
}

#[test]
fn what_was_acknowledged_outlives_its_server() {
    let database = Database::new();
    let server = start(&database, "{}");
    let page = server.create_id("pages", &json!({}));
    let turn = held(&database);
    let accepted: Vec<Json> = (0..20).map(|n| visit(&server, &page, n)).collect();
    server.kill();
    assert_eq!(queued(&database), "20");
    drop(turn);
    // It is there before the next one serves.
    let server = start(&database, "{}");
    assert_eq!(queued(&database), "0");
    for visit in &accepted {
        assert_eq!(&server.read("visits", &text(&visit["id"])), visit);
    }
    assert_eq!(server.read("pages", &page)["views"], 20);
}

#[test]
fn one_server_sees_what_another_has_acknowledged() {
    let database = Database::new();
    let (first, second) = (start(&database, "{}"), start(&database, "{}"));
    let page = first.create_id("pages", &json!({}));
    for n in 0..40 {
        let (near, far) = match n % 2 {
            0 => (&first, &second),
            _ => (&second, &first),
        };
        let accepted = visit(near, &page, n);
        assert_eq!(far.read("visits", &text(&accepted["id"])), accepted);
        // What refers to it may come to the other one.
        let remark = json!({ "visit": accepted["id"] });
        let remark = far.post("/remarks", &remark).expect(202);
        assert_eq!(near.read("remarks", &text(&remark["id"])), remark);
    }
    assert_eq!(second.read("pages", &page)["views"], 40);

    // While nobody carries it out, the other one waits.
    let turn = held(&database);
    let accepted = visit(&first, &page, 40);
    let (told, hear) = mpsc::channel();
    thread::scope(|scope| {
        let (second, accepted) = (second.client(), &accepted);
        scope.spawn(move || {
            let read = second.read("visits", &text(&accepted["id"]));
            told.send(read).expect("somebody hears");
        });
        assert!(hear.recv_timeout(Duration::from_millis(300)).is_err());
        drop(turn);
        assert_eq!(&hear.recv().expect("an answer"), accepted);
    });
}

#[test]
fn another_server_goes_on_where_one_has_died() {
    let database = Database::new();
    let (first, second) = (start(&database, "{}"), start(&database, "{}"));
    let page = first.create_id("pages", &json!({}));
    let turn = held(&database);
    for n in 0..30 {
        visit(&first, &page, n);
    }
    first.kill();
    drop(turn);
    assert_eq!(second.count("visits", &json!({ "page": page })), 30);
    assert_eq!(second.read("pages", &page)["views"], 30);
}

#[test]
fn servers_that_share_a_cache_are_never_behind() {
    let (database, redis) = (Database::new(), Redis::start());
    let start = || {
        let site = Site::sharing(&database.url, &redis.url());
        fill(&site);
        site.start()
    };
    let servers = [start(), start()];
    let page = servers[0].create_id("pages", &json!({}));
    let writers = 4;
    thread::scope(|scope| {
        for writer in 0..writers {
            let clients = servers.each_ref().map(|server| server.client());
            let page = &page;
            scope.spawn(move || {
                for n in 0..25 {
                    let (near, far) = (&clients[n % 2], &clients[(n + 1) % 2]);
                    let accepted = visit(near, page, writer * 100 + n);
                    let query = [("filter[page]", &**page), ("limit", "200")];
                    let list = far.list("visits", &query);
                    let listed = list["data"].as_array().expect("documents");
                    assert!(listed.contains(&accepted), "{n}");
                    assert_eq!(near.read("visits", &text(&accepted["id"])), accepted);
                }
            });
        }
    });
    for server in &servers {
        assert_eq!(server.count("visits", &json!({})), writers as u64 * 25);
        assert_eq!(server.read("pages", &page)["views"], writers * 25);
    }
}

#[test]
fn the_database_may_go_and_come_back() {
    let mut postgres = postgres::Server::start();
    let database = Database::on(&postgres.url());
    let server = start(&database, "{ patience: 500ms }");
    let page = server.create_id("pages", &json!({}));
    // The lock goes with the database.
    let turn = held(&database);
    let accepted: Vec<Json> = (0..10).map(|n| visit(&server, &page, n)).collect();
    postgres.crash();
    drop(turn);
    assert_eq!(server.get("/visits").status, 503);
    let write = server.post("/visits", &json!({ "page": page }));
    assert_eq!(write.status, 503);
    postgres.resume();
    let until = Instant::now() + Duration::from_secs(30);
    while server.get("/visits/count").status != 200 {
        assert!(Instant::now() < until, "it does not come back");
        thread::sleep(Duration::from_millis(20));
    }
    for visit in &accepted {
        assert_eq!(&server.read("visits", &text(&visit["id"])), visit);
    }
    let count = server.count("visits", &json!({}));
    assert_eq!(server.read("pages", &page)["views"], count);
    server.stop();
}
