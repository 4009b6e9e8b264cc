//! What is answered from the cache: the same as from the truth, and never older.

use serde_json::{Value as Json, json};

use crate::{
    command_line::{done, pipe},
    server::{Answer, CACHE_DRIVER, Server, Site, text},
};

const CONFIGURATION: &str = "\
crud: { explain: true }
auth:
  passwords: { memory_kib: 64, iterations: 1 }
  throttle: { enabled: false }
  accounts: { collection: people, identifiers: [name] }
";

const PEOPLE: &str = "\
name: people
owner: id
fields:
  name: { type: text, required: true, unique: true }
  password: { type: password, required: true }
access: { read: authenticated, create: owner }
tiers: { cache: { sets: [] } }
";

const SESSIONS: &str = "\
name: sessions
owner: user_id
fields:
  user_id: { type: ref, to: people, required: true, on_delete: cascade }
  refresh_token_hash: { type: text, required: true, hidden: true }
  generation: { type: int, default: 0, hidden: true }
  refreshed_at: timestamp
  expires_at: timestamp!
  revoked: { type: bool, default: false }
access: { read: owner, create: none, update: none }
";

const MEMBERS: &str = "\
name: members
fields: { room: text!, person: ref(people)! }
access: { read: public, create: public, delete: public }
tiers: { cache: { sets: [room] } }
";

/// What is said in rooms: their members read it; who said it sees how it was meant, too.
const LINES: &str = "\
name: lines
owner: author
fields:
  room: text!
  author: { type: ref, to: people, required: true, default: $auth.id }
  words: text!
  tags: text[]
  meant: { type: text, readable_by: owner }
indexes: [[room, -created_at]]
access:
  read: [owner, { room: { $in: { $select: members.room, $where: { person: $auth.id } } } }]
  create: owner
  update: owner
  delete: owner
tiers: { cache: { sets: [room, tags] } }
";

/// What everybody may read and write.
const PLATES: &str = "\
name: plates
order: -weight
fields: { shelf: text, weight: int, line: ref(lines), notes: json }
access: { read: public, create: public, update: public, delete: public }
tiers: { cache: { sets: [shelf] } }
";

/// A server, and whether it has a cache.
struct Kitchen {
    site: Site,
    server: Server,
    cached: bool,
}

/// Somebody who is signed in.
struct Cook {
    id: String,
    authorization: String,
}

impl Kitchen {
    fn new() -> Self {
        let site = Site::new();
        for (name, text) in [
            ("people", PEOPLE),
            ("sessions", SESSIONS),
            ("members", MEMBERS),
            ("lines", LINES),
            ("plates", PLATES),
        ] {
            site.collection(name, text);
        }
        site.file("nubo.yaml", CONFIGURATION);
        Self {
            server: site.start(),
            site,
            cached: std::env::var(CACHE_DRIVER).as_deref() != Ok("none"),
        }
    }

    fn cook(&self, name: &str) -> Cook {
        let account = json!({ "name": name, "password": "correct horse battery" });
        let answer = self.server.post("/signup", &account).expect(201);
        Cook {
            id: text(&answer["user"]["id"]),
            authorization: format!("Bearer {}", text(&answer["access_token"])),
        }
    }

    fn ask(&self, cook: &Cook, path: &str) -> Answer {
        let request = self.server.request("GET", path);
        request.header("authorization", &cook.authorization).send()
    }

    fn say(&self, cook: &Cook, line: &Json) -> String {
        let request = self.server.request("POST", "/lines").json(line);
        let request = request.header("authorization", &cook.authorization);
        text(&request.send().expect(201)["id"])
    }

    /// An answer that comes from the cache, where there is one. What was read last is settled soon
    /// after, so that it is asked for until it is.
    #[track_caller]
    fn until_cached(&self, ask: impl Fn() -> Answer) -> Json {
        let mut answer = ask();
        for _ in 0..200 {
            if !self.cached || answer.header("x-nubo-tier") == Some("cache") {
                return answer.expect(200);
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            answer = ask();
        }
        panic!("{} {:?}", answer.text(), answer.header("x-nubo-explain"));
    }

    fn plate(&self, shelf: &str, weight: u32) -> String {
        let plate = json!({ "shelf": shelf, "weight": weight });
        self.server.create_id("plates", &plate)
    }
}

fn on_shelf(shelf: &str) -> String {
    format!("/plates?filter[shelf]={shelf}&limit=2&explain=true")
}

fn weights(list: &Json) -> Vec<u64> {
    let data = list["data"].as_array().expect("a list").iter();
    data.map(|plate| plate["weight"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn a_document_is_held_and_never_old() {
    let kitchen = Kitchen::new();
    let id = kitchen.plate("a", 1);
    let path = format!("/plates/{id}");
    let first = kitchen.server.get(&path).expect(200);
    let held = kitchen.until_cached(|| kitchen.server.get(&path));
    assert_eq!(held, first);

    for weight in 2..30 {
        let change = json!({ "weight": weight });
        let changed = kitchen.server.patch(&path, &change).expect(200);
        assert_eq!(kitchen.server.get(&path).expect(200), changed);
    }
    let held = kitchen.until_cached(|| kitchen.server.get(&path));
    let tag = format!("\"{}\"", held["_rev"]);
    let known = || {
        kitchen
            .server
            .request("GET", &path)
            .header("if-none-match", &tag)
    };
    known().send().expect(304);
    let head = kitchen.server.request("HEAD", &path).send();
    assert_eq!((head.status, head.header("etag")), (200, Some(&*tag)));

    kitchen.server.delete(&path).expect(204);
    kitchen.server.get(&path).problem(404, "not_found");
    known().send().problem(404, "not_found");
    let again = json!({ "id": id, "weight": 7 });
    let again = kitchen.server.create("plates", &again);
    assert_eq!(kitchen.server.get(&path).expect(200), again);
}

#[test]
fn a_list_is_held_and_misses_nothing() {
    let kitchen = Kitchen::new();
    let server = &kitchen.server;
    let ids: Vec<String> = (1..=5).map(|weight| kitchen.plate("b", weight)).collect();
    kitchen.plate("c", 100);
    let list = || kitchen.until_cached(|| server.get(&on_shelf("b")));
    assert_eq!(weights(&list()), [5, 4]);

    // One that moves, one that comes, one that leaves, one that goes.
    server
        .patch(&format!("/plates/{}", ids[0]), &json!({ "weight": 6 }))
        .expect(200);
    assert_eq!(weights(&server.get(&on_shelf("b")).expect(200)), [6, 5]);
    kitchen.plate("b", 7);
    assert_eq!(weights(&server.get(&on_shelf("b")).expect(200)), [7, 6]);
    server
        .patch(&format!("/plates/{}", ids[0]), &json!({ "shelf": "c" }))
        .expect(200);
    assert_eq!(weights(&server.get(&on_shelf("b")).expect(200)), [7, 5]);
    server.delete(&format!("/plates/{}", ids[4])).expect(204);
    assert_eq!(weights(&list()), [7, 4]);

    // It goes on where it ended, page by page.
    let mut seen = Vec::new();
    let mut page = list();
    loop {
        seen.extend(weights(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        let path = format!("{}&cursor={cursor}", on_shelf("b"));
        page = kitchen.until_cached(|| server.get(&path));
    }
    assert_eq!(seen, [7, 4, 3, 2]);

    // Two shelves at once, everything, and nothing.
    let both = "/plates?filter={\"shelf\":{\"$in\":[\"b\",\"c\"]}}&limit=3";
    let both = both
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22");
    assert_eq!(
        weights(&kitchen.until_cached(|| server.get(&both))),
        [100, 7, 6]
    );
    let all = || server.get("/plates?limit=4");
    assert_eq!(weights(&kitchen.until_cached(all)), [100, 7, 6, 4]);
    assert!(weights(&kitchen.until_cached(|| server.get(&on_shelf("nowhere")))).is_empty());
}

#[test]
fn what_the_cache_cannot_answer_the_truth_does_and_says_why() {
    let kitchen = Kitchen::new();
    let server = &kitchen.server;
    let id = kitchen.plate("d", 1);
    server.get(&on_shelf("d")).expect(200);
    for path in [
        "/plates?filter[weight][$gt]=0&explain=true",
        "/plates?sort=weight&explain=true",
        "/plates?page=1&explain=true",
        "/plates?filter[shelf]=d&consistent=true&explain=true",
        "/plates?filter[notes.colour]=red&explain=true",
    ] {
        let answer = server.get(path);
        answer.expect(200);
        assert_eq!(answer.header("x-nubo-tier"), Some("truth"), "{path}");
        let why = answer.header("x-nubo-explain").unwrap_or_default();
        assert!(why.len() > 10, "{path}: {why}");
    }
    let count = server.get("/plates/count?filter[shelf]=d");
    assert_eq!(count.expect(200)["count"], 1);
    assert_eq!(count.header("x-nubo-tier"), Some("truth"));
    // Nobody who does not ask is told.
    assert_eq!(
        server
            .get(&format!("/plates/{id}"))
            .header("x-nubo-explain"),
        None
    );
}

#[test]
fn fields_and_related_documents_are_put_together_from_what_is_held() {
    let kitchen = Kitchen::new();
    let cook = kitchen.cook("ada");
    let line = kitchen.say(&cook, &json!({ "room": "hall", "words": "a, \"b\" {c}" }));
    let plate = json!({ "shelf": "e", "weight": 1, "line": line, "notes": { "a": ["}", 1] } });
    let plate = kitchen.server.create_id("plates", &plate);
    let some = || kitchen.ask(&cook, &format!("/plates/{plate}?fields=notes,shelf"));
    let expected = json!({ "id": plate, "shelf": "e", "notes": { "a": ["}", 1] } });
    assert_eq!(kitchen.until_cached(some), expected);
    let bare = kitchen.until_cached(|| kitchen.ask(&cook, &format!("/lines/{line}")));
    let with = || kitchen.ask(&cook, &format!("/plates/{plate}?expand=line"));
    assert_eq!(kitchen.until_cached(with)["_expand"]["line"], bare);
}

#[test]
fn rules_are_held_against_what_is_held() {
    let kitchen = Kitchen::new();
    let (ada, bob) = (kitchen.cook("ada"), kitchen.cook("bob"));
    let line = json!({ "room": "yard", "words": "hello", "meant": "go away" });
    let line = kitchen.say(&ada, &line);
    let path = format!("/lines/{line}");
    let list = "/lines?filter[room]=yard";
    let own = kitchen.until_cached(|| kitchen.ask(&ada, &path));
    assert_eq!(own["meant"], "go away");

    for _ in 0..5 {
        kitchen.ask(&bob, &path).problem(404, "not_found");
        assert_eq!(kitchen.ask(&bob, list).expect(200)["data"], json!([]));
        let member = json!({ "room": "yard", "person": bob.id });
        let member = kitchen.server.create_id("members", &member);
        // From the next request on, and what is hidden stays so.
        let seen = kitchen.ask(&bob, &path).expect(200);
        assert_eq!(seen["words"], "hello");
        assert_eq!(seen["meant"], Json::Null);
        assert_eq!(kitchen.ask(&bob, list).expect(200)["data"], json!([seen]));
        assert_eq!(kitchen.until_cached(|| kitchen.ask(&bob, &path)), seen);
        assert_eq!(
            kitchen.until_cached(|| kitchen.ask(&bob, list))["data"],
            json!([seen])
        );
        kitchen
            .server
            .delete(&format!("/members/{member}"))
            .expect(204);
    }
    kitchen.server.get(&path).problem(401, "missing_token");
}

#[test]
fn the_command_line_looks_into_the_cache_and_empties_it() {
    let kitchen = Kitchen::new();
    if !kitchen.cached {
        let refused = pipe(&kitchen.site, &["cache", "stats"], "");
        assert!(!refused.status.success());
        return;
    }
    let id = kitchen.plate("f", 1);
    let path = format!("/plates/{id}");
    kitchen.until_cached(|| kitchen.server.get(&path));
    let row = || {
        let said = done(&pipe(&kitchen.site, &["cache", "stats"], ""));
        let table: Vec<Vec<String>> = said
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect();
        let at = |name: &str| {
            let head = table.iter().find(|row| row[0] == "collection");
            let column = head.unwrap().iter().position(|cell| cell == name).unwrap();
            let row = table.iter().find(|row| row[0] == "plates");
            row.unwrap()[column].parse::<u64>().unwrap()
        };
        (at("documents"), at("hits"), at("fills"), at("bytes"))
    };
    let (documents, hits, fills, bytes) = row();
    assert_eq!((documents, fills), (1, 1));
    assert!(hits >= 1 && bytes > 100, "{hits} {bytes}");
    done(&pipe(&kitchen.site, &["cache", "clear"], ""));
    assert_eq!(row().0, 0);
    kitchen.server.get(&path).expect(200);
    assert_eq!(row().0, 1);
    let site = kitchen.site.clone();
    kitchen.server.stop();
    let nobody = pipe(&site, &["cache", "stats"], "");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no server runs"));
}

#[test]
fn it_is_for_admins_to_know_why() {
    let site = Site::with_collection(
        "plates",
        "name: plates\nfields: { a: int }\naccess: { read: public }\n",
    );
    let server = site.start();
    server.get("/plates?explain=true").problem(403, "forbidden");
    server.get("/plates?explain=false").expect(200);
    server
        .get("/plates?explain=1")
        .problem(400, "invalid_parameter");
}
