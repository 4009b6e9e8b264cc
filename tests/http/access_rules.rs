//! Access rules on small collections, each rule by itself: who is asked to sign in, what is not
//! there, what is refused, and in which order that is said.

use serde_json::{Value as Json, json};

use crate::server::{Answer, Server, Site, text};

const CONFIGURATION: &str = "\
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
  level: { type: int, default: 1, writable_by: role:admin }
  roles: { type: 'text[]', default: [user], writable_by: role:admin }
access:
  read: authenticated
  create: owner
  update: owner
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

const TEAMS: &str = "\
name: teams
fields: { person: ref(people)!, team: text! }
indexes: [{ fields: [team, person], unique: true }, [person]]
access: { read: authenticated, create: authenticated, delete: authenticated }
";

/// Read by the team and the owner; the owner changes it and may not give it away; the cost is the
/// owner's secret.
const PLANS: &str = "\
name: plans
owner: owner
fields:
  owner: { type: ref, to: people, required: true, default: $auth.id }
  team: text
  title: text!
  cost: { type: int, readable_by: owner }
  state: { type: text, default: open, writable_by: none }
access:
  read:
    - owner
    - { team: { $in: { $select: teams.team, $where: { person: $auth.id } } } }
    - { title: { $startsWith: Public } , owner: { $ne: $auth.id } }
  create: owner
  update: owner
  delete: { owner: $auth.id, title: { $ne: Keep } }
";

/// Read and changed by everybody; the secret is the owner's, and votes are counted by an effect.
const NOTES: &str = "\
name: notes
owner: owner
fields:
  owner: { type: ref, to: people, required: true, default: $auth.id }
  title: text!
  secret: { type: text, readable_by: owner }
  votes: { type: int, default: 0, writable_by: none }
access: { read: authenticated, create: owner, update: authenticated }
";

const VOTES: &str = "\
name: votes
fields: { note: ref(notes)! }
access: { create: authenticated }
effects:
  - { on: create, update: notes, where: { id: $doc.note }, change: { $inc: { votes: 1 } } }
";

/// People who have signed up, and a server for them.
struct World {
    server: Server,
}

impl World {
    fn new() -> Self {
        let site = Site::new();
        site.file("nubo.yaml", CONFIGURATION);
        for (name, text) in [
            ("people", PEOPLE),
            ("sessions", SESSIONS),
            ("teams", TEAMS),
            ("plans", PLANS),
            ("notes", NOTES),
            ("votes", VOTES),
        ] {
            site.collection(name, text);
        }
        Self {
            server: site.start(),
        }
    }

    #[track_caller]
    fn sign_up(&self, name: &str) -> Person<'_> {
        let body = json!({ "name": name, "password": "a quiet evening" });
        let answer = self.server.post("/signup", &body).expect(201);
        Person {
            server: &self.server,
            id: text(&answer["user"]["id"]),
            token: text(&answer["access_token"]),
        }
    }
}

struct Person<'a> {
    server: &'a Server,
    id: String,
    token: String,
}

impl Person<'_> {
    #[track_caller]
    fn asks(&self, method: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let request = self.server.request(method, path);
        request.header("authorization", &bearer).send()
    }

    #[track_caller]
    fn sends(&self, method: &str, path: &str, body: &Json) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let request = self.server.request(method, path);
        request.header("authorization", &bearer).json(body).send()
    }

    #[track_caller]
    fn plans(&self, plan: &Json) -> String {
        text(&self.sends("POST", "/plans", plan).expect(201)["id"])
    }

    #[track_caller]
    fn titles(&self, path: &str) -> Vec<String> {
        let list = self.asks("GET", path).expect(200);
        let data = list["data"].as_array().expect("a list").iter();
        data.map(|plan| text(&plan["title"])).collect()
    }
}

#[test]
fn words_say_who_needs_an_account() {
    let site = Site::new();
    for (name, access) in [
        (
            "open",
            "{ read: public, create: public, update: public, delete: public }",
        ),
        ("shut", "{ read: none, create: none }"),
        ("silent", "{}"),
        ("shown", "{ read: public, update: authenticated }"),
    ] {
        let text = format!("name: {name}\nfields: {{ words: text! }}\naccess: {access}\n");
        site.collection(name, &text);
    }
    let server = site.start();
    let id = server.create_id("open", &json!({ "words": "Hello" }));
    server.read("open", &id);
    // Who must sign in is told so before anything is said about the request.
    let broken = json!({ "wrods": 1 });
    for name in ["shut", "silent"] {
        let path = format!("/{name}");
        for answer in [
            server.get(&path),
            server.get(&format!("{path}?limit=none")),
            server.get(&format!("{path}/count")),
            server.get(&format!("{path}/{id}")),
            server.post(&path, &broken),
            server.post(&format!("{path}/query"), &broken),
            server.patch(&format!("{path}/{id}"), &broken),
            server.put(&format!("{path}/{id}"), &broken),
            server.delete(&format!("{path}/{id}")),
            server.delete(&format!("{path}?all=true")),
        ] {
            answer.problem(401, "missing_token");
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, Some("Bearer realm=\"nubo\""));
        }
        let bulk = json!([{ "create": { "words": "x" } }]);
        let answer = server.post(&format!("{path}/bulk"), &bulk).expect(200);
        assert_eq!(answer["results"][0]["status"], 401);
        let batch = json!([
            { "collection": "open", "create": { "words": "left behind?" } },
            { "collection": name, "create": { "words": "x" } },
        ]);
        server.post("/batch", &batch).expect(401);
    }
    assert_eq!(server.count("open", &json!({})), 1);
    assert_eq!(server.count("shown", &json!({})), 0);
    server
        .patch("/shown?all=true", &broken)
        .problem(401, "missing_token");
    let create = server.post("/shown", &json!({ "words": "x" }));
    create.problem(401, "missing_token");
    server.stop();
}

#[test]
fn what_is_not_to_be_read_is_not_there() {
    let world = World::new();
    let (ada, bea, cyn) = (
        world.sign_up("ada"),
        world.sign_up("bea"),
        world.sign_up("cyn"),
    );
    let team = json!({ "person": bea.id, "team": "red" });
    bea.sends("POST", "/teams", &team).expect(201);
    let red = ada.plans(&json!({ "title": "Red", "team": "red", "cost": 7 }));
    let own = ada.plans(&json!({ "title": "Own", "cost": 8 }));
    ada.plans(&json!({ "title": "Public", "cost": 9 }));
    let (red, own) = (format!("/plans/{red}"), format!("/plans/{own}"));

    let everything = "/plans?sort=title";
    assert_eq!(ada.titles(everything), ["Own", "Public", "Red"]);
    assert_eq!(bea.titles(everything), ["Public", "Red"]);
    assert_eq!(cyn.titles(everything), ["Public"]);
    assert_eq!(cyn.asks("GET", "/plans/count").expect(200)["count"], 1);
    assert_eq!(cyn.titles("/plans?filter[title]=Red"), [""; 0]);
    let page = cyn.asks("GET", "/plans?page=1&page_size=5").expect(200);
    assert_eq!(page["total"], 1);
    bea.asks("GET", &red).expect(200);
    for (method, path) in [
        ("GET", &own),
        ("HEAD", &own),
        ("DELETE", &own),
        ("GET", &red),
    ] {
        assert_eq!(cyn.asks(method, path).status, 404, "{method} {path}");
    }
    cyn.sends("PATCH", &own, &json!({ "title": "Mine" }))
        .problem(404, "not_found");
    // One sees it, and may not touch it.
    bea.sends("PATCH", &red, &json!({ "title": "Mine" }))
        .problem(403, "forbidden");
    bea.asks("DELETE", &red).problem(403, "forbidden");
    // Membership ends, and with it the view.
    bea.asks("DELETE", "/teams?all=true").expect(200);
    bea.asks("GET", &red).problem(404, "not_found");
    assert_eq!(bea.titles(everything), ["Public"]);
}

#[test]
fn a_change_is_held_to_the_rule_before_and_after() {
    let world = World::new();
    let (ada, bea) = (world.sign_up("ada"), world.sign_up("bea"));
    let id = ada.plans(&json!({ "title": "Public" }));
    let path = format!("/plans/{id}");
    // Given away: allowed before, not after.
    let gift = json!({ "owner": bea.id });
    ada.sends("PATCH", &path, &gift).problem(403, "forbidden");
    let gift = json!({ "title": "Public", "owner": bea.id });
    ada.sends("PUT", &path, &gift).problem(403, "forbidden");
    // Taken: allowed after, not before.
    let theft = json!({ "owner": bea.id });
    bea.sends("PATCH", &path, &theft).problem(403, "forbidden");
    let forged = json!({ "title": "x", "owner": bea.id });
    ada.sends("POST", "/plans", &forged)
        .problem(403, "forbidden");
    // Many at once: only one's own, and all or nothing.
    bea.plans(&json!({ "title": "Public too" }));
    let all = "/plans?all=true";
    let changed = bea
        .sends("PATCH", all, &json!({ "team": "blue" }))
        .expect(200);
    assert_eq!(changed, json!({ "matched": 1, "modified": 1 }));
    bea.sends("PATCH", all, &json!({ "owner": ada.id }))
        .problem(403, "forbidden");
    bea.plans(&json!({ "title": "Keep" }));
    assert_eq!(bea.asks("DELETE", all).expect(200), json!({ "deleted": 1 }));
    assert_eq!(bea.titles("/plans?sort=title"), ["Keep", "Public"]);
}

#[test]
fn fields_have_rules_of_their_own() {
    let world = World::new();
    let (ada, bea) = (world.sign_up("ada"), world.sign_up("bea"));
    let plan = json!({ "title": "Public", "cost": 7 });
    let created = ada.sends("POST", "/plans", &plan).expect(201);
    assert_eq!(created["cost"], 7);
    let path = format!("/plans/{}", text(&created["id"]));
    assert_eq!(ada.asks("GET", &path).expect(200)["cost"], 7);
    let seen = bea.asks("GET", &path).expect(200);
    assert!(seen["cost"].is_null(), "{seen}");
    for query in ["", "?fields=title,cost", "?expand=owner", "?sort=title"] {
        let list = bea.asks("GET", &format!("/plans{query}")).expect(200);
        assert!(list["data"][0]["cost"].is_null(), "{query}: {list}");
    }
    let expanded = format!("/people/{}?expand=plans(owner)", ada.id);
    let expanded = bea.asks("GET", &expanded).expect(200);
    let brought = &expanded["_expand"]["plans"]["data"][0];
    assert_eq!(brought["title"], "Public");
    assert!(brought["cost"].is_null(), "{brought}");
    for query in [
        "filter[cost]=7",
        "filter[cost][$gt]=1",
        "sort=cost",
        "sort=-cost,title",
    ] {
        let answer = bea.asks("GET", &format!("/plans?{query}"));
        answer.problem(403, "unreadable_field");
        // What is one's own on some documents only cannot be asked for either.
        let answer = ada.asks("GET", &format!("/plans?{query}"));
        answer.problem(403, "unreadable_field");
    }
    for answer in [
        bea.asks("GET", "/plans/count?filter[cost]=7"),
        bea.sends(
            "POST",
            "/plans/query",
            &json!({ "filter": { "$nor": [{ "cost": 7 }] } }),
        ),
        bea.sends("PATCH", "/plans?filter[cost]=7", &json!({ "team": "x" })),
        bea.asks("DELETE", "/plans?filter[cost]=7"),
    ] {
        answer.problem(403, "unreadable_field");
    }

    ada.sends("PATCH", &path, &json!({ "state": "done" }))
        .problem(403, "field_not_writable");
    let done = json!({ "title": "x", "state": "done" });
    ada.sends("POST", "/plans", &done)
        .problem(403, "field_not_writable");
    // What it would be anyway may be said.
    let open = json!({ "title": "x", "state": "open" });
    ada.sends("POST", "/plans", &open).expect(201);
    let level = json!({ "level": 5 });
    ada.sends("PATCH", "/me", &level)
        .problem(403, "field_not_writable");
    // Leaving it out of a replacement is no attempt to change it.
    let plan = json!({ "title": "Public", "owner": ada.id });
    let replaced = ada.sends("PUT", &path, &plan).expect(200);
    assert_eq!(replaced["state"], "open");
}

#[test]
fn a_batch_is_held_to_the_rules_operation_by_operation() {
    let world = World::new();
    let (ada, bea) = (world.sign_up("ada"), world.sign_up("bea"));
    let own = ada.plans(&json!({ "title": "Own", "team": "red" }));
    // The first operation opens the view that the second needs.
    let joined = json!([
        { "collection": "teams", "create": { "person": bea.id, "team": "red" } },
        { "collection": "plans", "update": { "id": own, "change": { "title": "Mine" } } },
    ]);
    bea.sends("POST", "/batch", &joined)
        .problem(403, "forbidden");
    assert_eq!(ada.asks("GET", "/teams/count").expect(200)["count"], 0);
    let alone = json!([joined[1]]);
    bea.sends("POST", "/batch", &alone)
        .problem(404, "not_found");
    let bulk = json!([
        { "create": { "title": "New" } },
        { "create": { "title": "Forged", "owner": ada.id } },
        { "update": { "id": own, "change": { "title": "Mine" } } },
        { "delete": { "id": own } },
    ]);
    let results = bea.sends("POST", "/plans/bulk", &bulk).expect(200);
    let statuses: Vec<&Json> = results["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| &result["status"])
        .collect();
    assert_eq!(statuses, [201, 403, 404, 404]);
    assert_eq!(ada.titles("/plans"), ["Own"]);
}

#[test]
fn a_replacement_keeps_what_its_sender_may_not_write() {
    let world = World::new();
    let ada = world.sign_up("ada");
    let note = ada.sends("POST", "/notes", &json!({ "title": "One" }));
    let id = text(&note.expect(201)["id"]);
    let path = format!("/notes/{id}");
    let vote = ada
        .sends("POST", "/votes", &json!({ "note": id }))
        .expect(201);
    assert_eq!(vote["note"], id.as_str());
    let other = json!({ "title": "Two", "owner": ada.id });
    let replaced = ada.sends("PUT", &path, &other).expect(200);
    assert_eq!(
        (&replaced["title"], &replaced["votes"]),
        (&json!("Two"), &json!(1))
    );
    let same = json!({ "title": "Two", "owner": ada.id, "votes": 1 });
    ada.sends("PUT", &path, &same).expect(200);
    let more = json!({ "title": "Two", "owner": ada.id, "votes": 2 });
    ada.sends("PUT", &path, &more)
        .problem(403, "field_not_writable");
}

#[test]
fn answers_to_writes_hide_what_reading_hides() {
    let world = World::new();
    let (ada, bea) = (world.sign_up("ada"), world.sign_up("bea"));
    let note = json!({ "title": "One", "secret": "the key" });
    let path = format!(
        "/notes/{}",
        text(&ada.sends("POST", "/notes", &note).expect(201)["id"])
    );
    let patched = bea
        .sends("PATCH", &path, &json!({ "title": "Two" }))
        .expect(200);
    assert_eq!(patched["title"], "Two");
    assert!(patched["secret"].is_null(), "{patched}");
    let batch = json!([{ "collection": "notes", "update": {
        "id": text(&patched["id"]), "change": { "title": "Three" } } }]);
    let answer = bea.sends("POST", "/batch", &batch).expect(200);
    assert!(!answer.to_string().contains("the key"), "{answer}");
    let seen = ada.asks("GET", &path).expect(200);
    assert_eq!(
        (&seen["title"], &seen["secret"]),
        (&json!("Three"), &json!("the key"))
    );
}

#[test]
fn a_tag_is_for_whom_the_document_is() {
    let world = World::new();
    let (ada, bea) = (world.sign_up("ada"), world.sign_up("bea"));
    let plan = json!({ "title": "Own", "team": "red" });
    let path = format!("/plans/{}", ada.plans(&plan));
    let seen = ada.asks("GET", &path);
    let tag = seen.header("etag").expect("a tag").to_owned();
    assert_eq!(seen.header("vary"), Some("Authorization"));
    let asks_again = |who: &Person<'_>, condition: &str| {
        let request = world.server.request("GET", &path);
        let bearer = format!("Bearer {}", who.token);
        let request = request.header("authorization", &bearer);
        request.header(condition, &tag).send()
    };
    assert_eq!(asks_again(&ada, "if-none-match").status, 304);
    // Who may not see the document does not learn whether it has changed.
    asks_again(&bea, "if-none-match").problem(404, "not_found");
    let bearer = format!("Bearer {}", bea.token);
    for (tag, what) in [(tag.as_str(), "the right tag"), ("\"1\"", "another")] {
        let request = world.server.request("PATCH", &path);
        let request = request.header("authorization", &bearer);
        let request = request.header("if-match", tag);
        let answer = request.json(&json!({ "title": "Mine" })).send();
        assert_eq!(answer.status, 404, "{what}");
    }
    let team = json!({ "person": bea.id, "team": "red" });
    bea.sends("POST", "/teams", &team).expect(201);
    asks_again(&bea, "if-match").expect(200);
}
