//! `write: behind`: an answer when a new document is durable in the queue, and nobody who can tell
//! that it was not carried out before.

use std::{
    collections::HashSet,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::{
    fresh_id,
    server::{Client, Server, Site, text},
};

pub const PAGES: &str = "\
name: pages
fields:
  title: text
  views: { type: int, default: 0 }
  label: { type: text, max_length: 10 }
access: { read: public, create: public, update: public, delete: public }
";

pub const VISITS: &str = "\
name: visits
write: behind
fields:
  page: ref(pages)!
  n: int
  label: text
tiers: { cache: { sets: [page] } }
access: { read: public, create: public, update: public, delete: public }
effects:
  - { on: create, update: pages, where: { id: $doc.page }, change: { $inc: { views: 1 } } }
  - { on: create, when: { label: { $ne: ~ } }, update: pages, where: { id: $doc.page },
      set: { label: $doc.label } }
";

/// Without effects, about what may be queued itself.
pub const REMARKS: &str = "\
name: remarks
write: behind
fields:
  visit: ref(visits)!
  about: ref(remarks)
  others: ref(visits)[]
  text: text
access: { read: public, create: public, update: public, delete: public }
";

/// About something else.
pub const NOTES: &str = "\
name: notes
fields: { text: text }
access: { read: public, create: public, update: public, delete: public }
";

pub fn fill(site: &Site) {
    site.collection("notes", NOTES);
    site.collection("pages", PAGES);
    site.collection("visits", VISITS);
    site.collection("remarks", REMARKS);
}

fn site() -> Site {
    let site = Site::new();
    fill(&site);
    site
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| site().start().shared())
}

/// A visit that is accepted: 202.
#[track_caller]
pub fn visit(client: &Client, page: &str, n: usize) -> Json {
    client
        .post("/visits", &json!({ "page": page, "n": n }))
        .expect(202)
}

#[track_caller]
fn visits_of(client: &Client, page: &str) -> Vec<Json> {
    let list = client.list("visits", &[("filter[page]", page), ("limit", "200")]);
    list["data"].as_array().expect("documents").clone()
}

#[test]
fn the_answer_is_what_will_be_there() {
    let page = server().create_id("pages", &json!({ "title": "one" }));
    let answer = server().post("/visits", &json!({ "page": page, "n": 1 }));
    let accepted = answer.expect(202);
    let id = text(&accepted["id"]);
    assert_eq!(answer.header("location"), Some(&*format!("/visits/{id}")));
    assert_eq!(accepted["page"], page);
    assert_eq!(accepted["label"], Json::Null);
    let found = server().get(&format!("/visits/{id}"));
    assert_eq!(found.expect(200), accepted);
    assert_eq!(found.header("etag"), answer.header("etag"));
    assert!(found.header("etag").is_some());

    // Whoever holds the tag of the answer may change the document with it.
    let tag = answer.header("etag").expect("a tag");
    let change = server().request("PATCH", &format!("/visits/{id}"));
    let change = change.header("if-match", tag).json(&json!({ "n": 2 }));
    assert_eq!(change.send().expect(200)["n"], 2);
    let stale = server().request("DELETE", &format!("/visits/{id}"));
    stale
        .header("if-match", tag)
        .send()
        .problem(412, "precondition_failed");
}

#[test]
fn what_needs_an_answer_has_it_at_once() {
    let page = server().create_id("pages", &json!({}));
    // Whether an id is taken is known now.
    let own = json!({ "id": fresh_id(), "page": page });
    server().create("visits", &own);
    server()
        .post("/visits", &own)
        .problem_at(409, "duplicate", &["/id"]);
    // What is queued is there for who changes, filters and deletes.
    let id = text(&visit(server(), &page, 1)["id"]);
    let changed = server().patch(&format!("/visits/{id}"), &json!({ "$inc": { "n": 1 } }));
    assert_eq!(changed.expect(200)["n"], 2);
    visit(server(), &page, 5);
    let many = format!("/visits?filter[page]={page}&filter[n]=5");
    let changed = server().patch(&many, &json!({ "n": 6 })).expect(200);
    assert_eq!(changed, json!({ "matched": 1, "modified": 1 }));
    let gone = text(&visit(server(), &page, 7)["id"]);
    server().delete(&format!("/visits/{gone}")).expect(204);
    server()
        .get(&format!("/visits/{gone}"))
        .problem(404, "not_found");
    // As is what refers to a document that goes.
    visit(server(), &page, 8);
    server()
        .delete(&format!("/pages/{page}"))
        .problem(409, "referenced");
    server()
        .post("/visits", &json!({ "page": page, "n": "many" }))
        .problem_at(422, "invalid", &["/n"]);
}

#[test]
fn whoever_reads_waits_for_what_was_acknowledged() {
    let page = server().create_id("pages", &json!({}));
    let readers = 6;
    thread::scope(|scope| {
        for reader in 0..readers {
            let (client, page) = (server().client(), page.clone());
            scope.spawn(move || {
                for n in 0..25 {
                    let mine = visit(&client, &page, reader * 100 + n);
                    let id = text(&mine["id"]);
                    // Every way to read, one after the other.
                    let seen = match n % 6 {
                        0 => client.read("visits", &id) == mine,
                        1 => visits_of(&client, &page).contains(&mine),
                        2 => client.count("visits", &json!({ "id": id })) == 1,
                        3 => {
                            let query = [("filter[id]", &*id), ("consistent", "true")];
                            client.list("visits", &query)["data"][0] == mine
                        }
                        4 => {
                            let question = json!({ "filter": { "id": id } });
                            client.post("/visits/query", &question).expect(200)["data"][0] == mine
                        }
                        _ => {
                            let query = [("filter[id]", &*id), ("expand", "page")];
                            let list = client.list("visits", &query);
                            list["data"][0]["_expand"]["page"]["views"].as_u64() > Some(0)
                        }
                    };
                    assert!(seen, "{n}");
                }
            });
        }
    });
    assert_eq!(visits_of(server(), &page).len(), readers * 25);
    // What it causes is there as soon as it is itself.
    assert_eq!(server().read("pages", &page)["views"], readers * 25);
}

#[test]
fn what_a_write_causes_is_there_at_once() {
    let page = server().create_id("pages", &json!({}));
    for n in 1..=30 {
        visit(server(), &page, n);
        assert_eq!(server().read("pages", &page)["views"], n);
        // What is set now comes after what was caused before.
        if n == 15 {
            let reset = json!({ "views": n });
            server()
                .patch(&format!("/pages/{page}"), &reset)
                .expect(200);
        }
    }
    visit(server(), &page, 31);
    let reset = json!({ "views": 0 });
    server()
        .patch(&format!("/pages/{page}"), &reset)
        .expect(200);
    assert_eq!(server().read("pages", &page)["views"], 0);
}

#[test]
fn references_are_looked_up_at_the_door() {
    let page = server().create_id("pages", &json!({}));
    server()
        .post("/visits", &json!({ "page": fresh_id() }))
        .problem_at(422, "invalid", &["/page"]);
    let visit = text(&visit(server(), &page, 1)["id"]);
    // Parents that are queued themselves.
    let remark = |json: Json| server().post("/remarks", &json);
    let first = remark(json!({ "visit": visit, "others": [visit] })).expect(202);
    let second = remark(json!({ "visit": visit, "about": first["id"] })).expect(202);
    assert_eq!(server().read("remarks", &text(&second["id"])), second);
    remark(json!({ "visit": visit, "about": fresh_id(), "others": [visit, fresh_id()] }))
        .problem_at(422, "invalid", &["/about", "/others/1"]);
}

#[test]
fn many_at_once_are_accepted_one_by_one() {
    let page = server().create_id("pages", &json!({}));
    let create = |page: &str| json!({ "create": { "page": page } });
    let results = |answer: Json| -> Vec<u64> {
        let results = answer["results"].as_array().expect("results").iter();
        results
            .map(|result| result["status"].as_u64().expect("a status"))
            .collect()
    };
    let (good, bad) = (create(&page), create(&fresh_id()));
    let items = json!([good, bad, good, { "create": { "page": 1 } }]);
    let bulk = server().post("/visits/bulk", &items).expect(200);
    assert_eq!(results(bulk.clone()), [202, 422, 202, 422]);
    let place = &bulk["results"][1]["error"]["errors"][0]["path"];
    assert_eq!(*place, "/1/create/page");
    assert_eq!(visits_of(server(), &page).len(), 2);
    let ordered = server()
        .post("/visits/bulk?ordered=true", &items)
        .expect(200);
    assert_eq!(results(ordered), [202, 422, 424, 424]);
    assert_eq!(visits_of(server(), &page).len(), 3);

    // All or nothing: behind where all of it may be, else at once.
    let of = |collection: &str, json: Json| json!({ "collection": collection, "create": json });
    let two = json!([
        of("visits", json!({ "page": page })),
        of("visits", json!({ "page": page }))
    ]);
    let accepted = server().post("/batch", &two).expect(200);
    assert_eq!(results(accepted), [202, 202]);
    let mixed = json!([
        of("pages", json!({})),
        of("visits", json!({ "page": page }))
    ]);
    let created = server().post("/batch", &mixed).expect(200);
    assert_eq!(results(created), [201, 201]);
    let lost = json!([
        of("visits", json!({ "page": page })),
        of("visits", json!({ "page": fresh_id() }))
    ]);
    server()
        .post("/batch", &lost)
        .problem_at(422, "invalid", &["/1/create/page"]);
    assert_eq!(visits_of(server(), &page).len(), 6);
    assert_eq!(server().read("pages", &page)["views"], 6);
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut() {
    const ROUNDS: usize = 4;
    const WRITERS: usize = 8;
    const ACKNOWLEDGED: usize = 150;
    let site = site();
    let mut server = site.start();
    let page = server.create_id("pages", &json!({}));
    let acknowledged = Mutex::new(HashSet::new());
    for _ in 0..ROUNDS {
        let client = server.client();
        let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let request = client.request("POST", "/visits");
                        let Ok(answer) = request.json(&json!({ "page": page })).try_send() else {
                            return;
                        };
                        let id = text(&answer.expect(202)["id"]);
                        acknowledged.lock().expect("a lock").insert(id);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let until = Instant::now() + Duration::from_secs(30);
            while count.load(Ordering::Relaxed) < ACKNOWLEDGED {
                assert!(Instant::now() < until, "too few writes in 30 s");
                thread::sleep(Duration::from_millis(1));
            }
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server = site.start();
        let acknowledged = acknowledged.lock().expect("a lock");
        let stored = all_visits(&server);
        let ids: HashSet<String> = stored.iter().map(|visit| text(&visit["id"])).collect();
        assert_eq!(ids.len(), stored.len(), "each once");
        assert!(acknowledged.is_subset(&ids));
        // And with all that belongs to it, once.
        assert_eq!(server.read("pages", &page)["views"], ids.len());
    }
    server.stop();
}

fn all_visits(server: &Server) -> Vec<Json> {
    let mut documents = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut query = vec![("limit", "200")];
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let list = server.list("visits", &query);
        documents.extend(list["data"].as_array().expect("documents").clone());
        match &list["next_cursor"] {
            Json::Null => return documents,
            next => cursor = text(next),
        }
    }
}

/// Runs the command line in a server's folder: what it says.
#[track_caller]
fn nubo(site: &Site, arguments: &[&str], success: bool) -> String {
    let output = site.command(arguments).output().expect("the binary runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let errors = said(&output.stderr);
    assert_eq!(output.status.success(), success, "{arguments:?}: {errors}");
    said(match success {
        true => &output.stdout,
        false => &output.stderr,
    })
}

#[test]
fn what_is_refused_later_becomes_a_dead_letter() {
    let site = site();
    let server = site.start();
    let page = server.create_id("pages", &json!({}));
    assert_eq!(nubo(&site, &["dlq", "list"], true), "none\n");
    // Nothing can be said against it at the door, and its effect gives the page a label that is too
    // long.
    let label = "far too long for a page";
    let refused = json!({ "page": page, "label": label, "n": 1 });
    let refused = text(&server.post("/visits", &refused).expect(202)["id"]);
    visit(&server, &page, 2);
    server
        .get(&format!("/visits/{refused}"))
        .problem(404, "not_found");
    assert_eq!(visits_of(&server, &page).len(), 1, "it is in nobody's way");

    let list: Json = serde_json::from_str(&nubo(&site, &["dlq", "list", "--json"], true)).unwrap();
    let [letter] = &list.as_array().expect("a list")[..] else {
        panic!("{list}");
    };
    assert_eq!(letter["code"], "invalid");
    assert_eq!(letter["collection"], json!(["visits"]));
    let number = letter["number"].to_string();
    let shown: Json = serde_json::from_str(&nubo(&site, &["dlq", "show", &number], true)).unwrap();
    assert_eq!(shown["documents"][0]["document"]["id"], *refused);
    assert_eq!(shown["documents"][0]["document"]["label"], label);
    assert_eq!(shown["problem"]["errors"][0]["code"], "too_long");
    let said = nubo(&site, &["doctor"], true);
    assert!(said.contains("dead letters: 1"), "{said}");
    let missing = nubo(&site, &["dlq", "show", "999999"], false);
    assert!(
        missing.contains("there is no dead letter 999999"),
        "{missing}"
    );

    // Tried again it is refused again.
    assert_eq!(nubo(&site, &["dlq", "retry", &number], true), "1 retried\n");
    server
        .get(&format!("/visits/{refused}"))
        .problem(404, "not_found");
    let again: Json = serde_json::from_str(&nubo(&site, &["dlq", "list", "--json"], true)).unwrap();
    assert_eq!(again.as_array().map(Vec::len), Some(1));
    server.stop();

    // With another rule it comes, whoever carries it out; it has waited all the time.
    site.collection("pages", &PAGES.replace("max_length: 10", "max_length: 100"));
    assert_eq!(nubo(&site, &["dlq", "retry", "--all"], true), "1 retried\n");
    let server = site.start();
    assert_eq!(server.read("visits", &refused)["label"], label);
    let seen = server.read("pages", &page);
    assert_eq!((&seen["label"], &seen["views"]), (&json!(label), &json!(2)));
    assert_eq!(nubo(&site, &["dlq", "list"], true), "none\n");

    let long = "x".repeat(200);
    let lost = json!({ "page": page, "label": long });
    server.post("/visits", &lost).expect(202);
    assert_eq!(visits_of(&server, &page).len(), 2);
    assert_eq!(nubo(&site, &["dlq", "drop", "--all"], true), "1 dropped\n");
    assert_eq!(nubo(&site, &["dlq", "list"], true), "none\n");
    let neither = nubo(&site, &["dlq", "drop"], false);
    assert!(neither.contains("--all"), "{neither}");
}

#[test]
fn a_collection_may_become_through_again() {
    let site = site();
    let server = site.start();
    let page = server.create_id("pages", &json!({}));
    let ids: Vec<String> = (0..50)
        .map(|n| text(&visit(&server, &page, n)["id"]))
        .collect();
    server.kill();
    site.collection("visits", &VISITS.replace("behind", "through"));
    let server = site.start();
    for id in &ids {
        server.read("visits", id);
    }
    server.create("visits", &json!({ "page": page }));
    assert_eq!(server.read("pages", &page)["views"], ids.len() + 1);
    server.stop();
}

#[test]
fn what_cannot_be_behind_is_refused_before_the_server_starts() {
    let site = site();
    site.collection(
        "visits",
        &VISITS.replace("  n: int\n", "  n: { type: int, unique: true }\n"),
    );
    let output = site.command(&["check"]).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{said}");
    let place = "collections/visits.yaml:5:27: ";
    let line = said.lines().find(|line| line.starts_with(place));
    assert!(
        line.is_some_and(|line| line.contains("`write: behind`")),
        "{said}"
    );
    let refusal = site.refuse_to_start(&[]);
    assert!(
        refusal.stderr.contains("`write: behind`"),
        "{}",
        refusal.stderr
    );
}
