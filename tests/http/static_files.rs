//! Files for browsers, next to the API.

use std::fs;

use crate::server::{Server, Site};

const NOTES: &str = "name: notes\nfields: { words: text! }\naccess: { read: public }\n";

/// A server of a folder with a page, a script and what nobody is to see.
fn served(settings: &str) -> (Site, Server) {
    let site = Site::with_collection("notes", NOTES);
    fs::create_dir_all(site.path("public/deep")).expect("a folder");
    site.file(
        "nubo.yaml",
        &format!("static: {{ folder: public{settings} }}\n"),
    );
    site.file("public/index.html", "<p>Hello");
    site.file("public/page.mjs", "export const words = 'one two';");
    site.file("public/notes", "not the collection");
    site.file("public/deep/index.html", "<p>Deep");
    site.file("public/.env", "SECRET");
    site.file("secret.txt", "SECRET");
    let server = site.start();
    (site, server)
}

#[test]
fn files_come_with_their_type_and_only_when_they_have_changed() {
    let (site, server) = served("");
    let page = server.get("/");
    assert_eq!((page.status, page.body.as_slice()), (200, &b"<p>Hello"[..]));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));

    let script = server.get("/page.mjs");
    let kind = script.header("content-type").expect("a type");
    assert!(kind.contains("javascript"), "{kind}");
    let tag = script.header("etag").expect("a tag");
    let again = server.request("GET", "/page.mjs");
    assert_eq!(again.header("if-none-match", tag).send().status, 304);
    let modified = script.header("last-modified").expect("a time");
    let again = server.request("GET", "/page.mjs");
    assert_eq!(
        again.header("if-modified-since", modified).send().status,
        304
    );

    site.file("public/page.mjs", "export const words = 'three';");
    let again = server.request("GET", "/page.mjs");
    let changed = again.header("if-none-match", tag).send();
    assert_eq!(changed.status, 200);
    assert!(changed.body.ends_with(b"'three';"));
}

#[test]
fn parts_and_heads_can_be_asked_for() {
    let (_site, server) = served("");
    let part = server.request("GET", "/page.mjs");
    let part = part.header("range", "bytes=7-11").send();
    assert_eq!((part.status, part.body.as_slice()), (206, &b"const"[..]));
    assert_eq!(part.header("content-range"), Some("bytes 7-11/31"));
    let head = server.request("HEAD", "/page.mjs").send();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("31"));
    server
        .delete("/page.mjs")
        .problem(405, "method_not_allowed");
}

#[test]
fn the_api_wins_and_everything_else_is_a_problem() {
    let (_site, server) = served("");
    assert!(server.get("/notes").expect(200)["data"].is_array());
    server.get("/ping").expect(200);
    server.get("/nothing").problem(404, "unknown_path");
    server
        .get("/deep/nothing/at/all")
        .problem(404, "unknown_path");
    let folder = server.get("/deep?a=b");
    assert_eq!(folder.status, 308);
    assert_eq!(folder.header("location"), Some("./deep/?a=b"));
    assert_eq!(server.get("/deep/").body, b"<p>Deep");
}

#[test]
fn nothing_hidden_or_outside_is_shown() {
    let (_site, server) = served(", spa: true");
    for path in [
        "/.env",
        "/%2eenv",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/deep/%2e%2e/%2e%2e/secret.txt",
        "/%2e%2e%5csecret.txt",
        "/deep%00",
        "/%ff",
    ] {
        let answer = server.get(path);
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.body.ends_with(b"SECRET"), "{path}");
    }
}

#[test]
fn an_application_keeps_its_place_in_the_path() {
    let (_site, server) = served(", spa: true, path: /app, cache: 5m");
    let open = |path: &str| {
        let request = server.request("GET", path);
        request.header("accept", "text/html,*/*;q=0.8").send()
    };
    let page = open("/app/people/17");
    assert_eq!((page.status, page.body.as_slice()), (200, &b"<p>Hello"[..]));
    assert_eq!(page.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(open("/app/").status, 200);
    assert_eq!(open("/people/17").status, 404);
    server.get("/app/missing.js").problem(404, "unknown_path");
}
