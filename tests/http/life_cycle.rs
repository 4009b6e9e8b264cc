//! Starting, stopping, starting again, and the reasons for which a server does not start.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::{
    command_line::{done, pipe},
    server::{Site, text},
    texts,
};

const NOTES: &str = "name: notes\nfields: { words: text! }\naccess: { read: public, create: public, update: public, delete: public }\n";

fn notes() -> Site {
    Site::with_collection("notes", NOTES)
}

#[test]
fn a_restart_finds_everything() {
    let site = Site::with_folder("tests/http/collections");
    let server = site.start();
    let author = server.create_id("authors", &json!({ "name": "a" }));
    let book = json!({
        "title": "x", "author_id": author, "price": "1.10", "meta": { "deep": [1, null] },
        "tags": ["a"], "sold": "9007199254740993", "cover": "AP8=", "released_at": "2026-01-01T00:00:00.001Z",
    });
    let book = text(&server.create("books", &book)["id"]);
    let path = format!("/books/{book}");
    server
        .patch(&path, &json!({ "$inc": { "pages": 3 } }))
        .expect(200);
    let gone = server.create_id("books", &json!({ "title": "gone" }));
    server.delete(&format!("/books/{gone}")).expect(204);
    let before = server.get(&path);
    before.expect(200);
    server.stop();

    let server = site.start();
    let after = server.get(&path);
    assert_eq!(after.body, before.body, "byte for byte");
    assert_eq!(after.header("etag"), before.header("etag"));
    server
        .get(&format!("/books/{gone}"))
        .problem(404, "not_found");
    // Revisions go on where they stopped.
    let changed = server
        .request("PATCH", &path)
        .header("if-match", before.header("etag").expect("a tag"))
        .json(&json!({ "title": "y" }))
        .send();
    let (now, then) = (&changed.expect(200)["_rev"], &before.json()["_rev"]);
    assert!(now.as_i64() > then.as_i64());
    server
        .delete(&format!("/authors/{author}"))
        .problem(409, "referenced");
    server.stop();
}

#[test]
fn a_cursor_outlives_a_restart() {
    let site = notes();
    let server = site.start();
    for words in ["a", "b", "c"] {
        server.create("notes", &json!({ "words": words }));
    }
    let first = server.list("notes", &[("sort", "words"), ("limit", "1")]);
    server.stop();
    let server = site.start();
    let cursor = text(&first["next_cursor"]);
    let rest = server.list("notes", &[("sort", "words"), ("cursor", &cursor)]);
    assert_eq!(texts(&rest, "words"), ["b", "c"]);
    server.stop();
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let server = notes().start();
    let body = json!({ "words": "last" }).to_string();
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    let head = format!(
        "POST /notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the head");
    // The route has begun to read when it asks for the body.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
        .write_all(&body.as_bytes()[..5])
        .expect("half a body");
    server.terminate();
    wait_until(|| server.log().contains("stopping"));
    stream.write_all(&body.as_bytes()[5..]).expect("the rest");
    let mut answer = String::new();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a limit");
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let server = notes().start();
    server.create("notes", &json!({ "words": "x" }));
    let idle = TcpStream::connect(server.address()).expect("a connection");
    let start = Instant::now();
    server.stop();
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    drop(idle);
}

/// Who says nothing, or says it letter by letter, does not hold on to a connection for ever.
#[test]
fn connections_without_a_request_are_closed() {
    let site = notes();
    site.file("nubo.yaml", "server: { idle_timeout: 500ms }");
    let server = site.start();
    for said in ["", "GET /ping HTTP/1.1\r\nhost: x\r\n"] {
        let mut slow = TcpStream::connect(server.address()).expect("a connection");
        slow.set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a time limit");
        slow.write_all(said.as_bytes()).expect("sent");
        let mut answer = String::new();
        slow.read_to_string(&mut answer).expect("the end");
        assert_eq!(answer, "", "after {said:?}");
    }
    let mut kept = TcpStream::connect(server.address()).expect("a connection");
    kept.set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a time limit");
    kept.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    kept.read_to_string(&mut answer).expect("the end");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn health_is_asked_for_on_the_command_line() {
    let site = notes();
    site.file("nubo.yaml", "server: { base_path: /api }");
    let server = site.start();
    let address = server.address().to_string();
    let ask = || pipe(&site, &["--listen", &address, "health"], "");
    assert!(done(&ask()).contains("ready"));
    server.stop();
    let gone = ask();
    assert!(!gone.status.success());
    let said = String::from_utf8_lossy(&gone.stderr);
    assert!(
        said.contains(&format!("no answer from {address}")),
        "{said}"
    );
}

#[test]
fn an_address_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let refusal = notes().refuse_to_start(&["--listen", &address]);
    assert_eq!(refusal.code, Some(1));
    for words in [&*address, "in use", "--listen"] {
        assert!(
            refusal.stderr.contains(words),
            "{words}: {}",
            refusal.stderr
        );
    }
    assert!(!refusal.stderr.contains("panicked"), "{}", refusal.stderr);
}

#[test]
fn an_address_that_others_reach() {
    let site = notes();
    let server = site.start_with(&["--listen", "0.0.0.0:0"]);
    server.get("/ping").expect(200);
    server.stop();
}

#[test]
fn a_data_folder_that_is_in_use() {
    let site = notes();
    let server = site.start();
    let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
    assert_eq!(refusal.code, Some(1));
    assert!(
        refusal
            .stderr
            .contains("another Nubo is using the data folder"),
        "{}",
        refusal.stderr
    );
    server.create("notes", &json!({ "words": "unharmed" }));
    // A killed server leaves no lock behind.
    server.kill();
    site.start().stop();
}

#[test]
fn a_data_folder_that_cannot_be_used() {
    let site = notes();
    site.file("data", "this is a file");
    let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
    assert_eq!(refusal.code, Some(1));
    assert!(
        refusal.stderr.contains("the data folder data"),
        "{}",
        refusal.stderr
    );

    if crate::server::truth::is_postgres() {
        return; // the rest is about the embedded database's file
    }
    let site = notes();
    fs::create_dir(site.path("data")).expect("a folder");
    fs::write(
        site.path("data/nubo.db"),
        "this is no database. ".repeat(500),
    )
    .expect("a file");
    let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.stderr.contains("database"), "{}", refusal.stderr);
    assert!(!refusal.stderr.contains("panicked"), "{}", refusal.stderr);
    let kept = fs::read_to_string(site.path("data/nubo.db")).expect("the file");
    assert!(
        kept.starts_with("this is no database"),
        "what is not ours is left alone"
    );
}

#[test]
fn every_mistake_in_the_collections_is_told_and_nothing_is_touched() {
    let site = notes();
    site.collection(
        "broken",
        "name: broken\nfields:\n  a: txt\n  b: ref(nobody)\naccess: { raed: public }\n",
    );
    site.collection(
        "other",
        "name: another\nfields: { a: { type: int, min: x } }\n",
    );
    let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
    assert_eq!(refusal.code, Some(1));
    for words in [
        "collections/broken.yaml:3:",
        "`text`",
        "collections/broken.yaml:4:",
        "nobody",
        "collections/broken.yaml:5:",
        "`read`",
        "collections/other.yaml:1:",
        "collections/other.yaml:2:",
    ] {
        assert!(
            refusal.stderr.contains(words),
            "{words}: {}",
            refusal.stderr
        );
    }
    assert!(!site.path("data").exists());
}

#[test]
fn settings_that_make_no_sense() {
    let site = notes();
    for (settings, words) in [
        ("server: { listen: here }\n", "nubo.yaml:1:"),
        ("servr: {}\n", "`server`"),
        ("crud: { default_limit: 500 }\n", "default_limit"),
        (
            "server: { cors: { origins: [\"example.org\"] } }\n",
            "example.org",
        ),
    ] {
        site.file("nubo.yaml", settings);
        let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
        assert_eq!(refusal.code, Some(1), "{settings}");
        assert!(
            refusal.stderr.contains(words),
            "{settings}: {}",
            refusal.stderr
        );
    }
}

#[test]
fn a_module_that_is_switched_off_is_gone() {
    let site = notes();
    site.file("nubo.yaml", "modules: { openapi: false }\n");
    let server = site.start();
    server.get("/docs").problem(404, "unknown_path");
    server.get("/openapi.json").problem(404, "unknown_path");
    server.get("/notes").expect(200);
    server.stop();
}

fn wait_until(condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < until, "it did not happen in 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn expired_documents_are_not_kept() {
    let site = Site::with_collection(
        "sparks",
        "name: sparks\nfields: { words: text! }\nexpires_after: 1ms\naccess: { read: public, create: public, update: public, delete: public }\n",
    );
    // So is what the truth need not keep: embedded, there is no other place.
    site.collection(
        "embers",
        "name: embers\nfields: { words: text! }\nexpires_after: 1ms\naccess: { read: public, create: public, update: public, delete: public }\ntiers: { recent: { window: 30d }, truth: none }\n",
    );
    let server = site.start();
    let spark = server.create("sparks", &json!({ "words": "x" }));
    let ember = server.create("embers", &json!({ "words": "x" }));
    server.stop();
    // What has expired is looked for at the start, and every minute.
    let server = site.start();
    let gone = || {
        server
            .get(&format!("/sparks/{}", text(&spark["id"])))
            .status
            == 404
    };
    wait_until(gone);
    assert_eq!(server.list("sparks", &[])["data"], Json::Array(Vec::new()));
    let ember = format!("/embers/{}", text(&ember["id"]));
    wait_until(|| server.get(&ember).status == 404);
    assert_eq!(server.list("embers", &[])["data"], Json::Array(Vec::new()));
    server.stop();
}
