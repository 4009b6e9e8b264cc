//! Collections with `truth: none` where there is a recent tier: MongoDB has their documents alone, and
//! nobody notices.

use serde_json::{Value as Json, json};

use crate::{
    link::Way,
    scene::{Scene, wait},
    server::Client,
};

const PEOPLE: &str = "\
name: people
fields: { name: text! }
access: { read: public, create: public, update: public, delete: public }
";

/// What is liked, and by whom: whose it is hears of it, until the like is taken back.
const LIKES: &str = "\
name: likes
fields:
  of: { type: ref, to: people, required: true, on_delete: cascade }
  by: uuid!
access: { read: public, create: public, update: public, delete: public }
effects:
  - { on: create, create: news, set: { who: $doc.of, kind: like, payload: { by: $doc.by } } }
  - { on: delete, delete: news, where: { who: $doc.of, kind: like, payload.by: $doc.by } }
";

const NEWS: &str = "\
name: news
fields:
  who: { type: ref, to: people, required: true, on_delete: cascade }
  kind: text!
  payload: json
  read: { type: bool, default: false }
  secret: { type: text, hidden: true }
indexes: [[who, -created_at]]
access: { read: public, create: public, update: public, delete: public }
tiers: { recent: { window: 30d }, truth: none }
expires_after: 30d
";

fn start() -> Scene {
    let collections = [("people", PEOPLE), ("likes", LIKES), ("news", NEWS)];
    Scene::start_leaving(&collections, "2s")
}

fn id(document: &Json) -> &str {
    document["id"].as_str().unwrap()
}

fn person(client: &Client, name: &str) -> String {
    let person = client.create("people", &json!({ "name": name }));
    id(&person).to_owned()
}

fn like(client: &Client, of: &str, by: &str) -> Json {
    client.create("likes", &json!({ "of": of, "by": by }))
}

/// How many documents wait in the truth.
fn waiting(scene: &Scene) -> String {
    scene.database.sql("SELECT count(*) FROM main.news")
}

/// Waits until the truth has none of them any more.
#[track_caller]
fn wait_left(scene: &Scene) {
    wait("they have left", || waiting(scene) == "0");
}

/// What somebody was told, newest first.
#[track_caller]
fn told(client: &Client, who: &str) -> Vec<Json> {
    let list = client.get(&format!("/news?filter[who]={who}&sort=-created_at"));
    let list = list.expect(200);
    list["data"].as_array().unwrap().clone()
}

#[track_caller]
fn count(client: &Client, filter: &str) -> u64 {
    let counted = client.get(&format!("/news/count?{filter}")).expect(200);
    counted["count"].as_u64().unwrap()
}

#[test]
fn what_has_left_the_truth_is_there_all_the_same() {
    let scene = start();
    let [one, two] = [0, 1].map(|instance| scene.client(instance));
    let (ann, bob) = (person(&one, "Ann"), person(&one, "Bob"));
    let (first, second) = (like(&one, &ann, &bob), like(&one, &ann, &ann));
    assert_eq!(told(&two, &ann).len(), 2);
    wait_left(&scene);
    // Both are listed, by both, in their order, and together with what came later.
    let third = like(&two, &ann, id(&second));
    for client in [&one, &two] {
        let news = told(client, &ann);
        let by: Vec<&str> = news
            .iter()
            .map(|told| told["payload"]["by"].as_str().unwrap())
            .collect();
        assert_eq!(by, [id(&second), &ann, &bob]);
        assert_eq!(count(client, "filter[kind]=like"), 3);
        assert_eq!(count(client, "filter[read]=true"), 0);
        let path = format!("/news/{}", id(&news[2]));
        assert_eq!(client.get(&path).expect(200), news[2]);
    }
    let page = one.get("/news?sort=created_at&limit=2").expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = two.get(&format!("/news?sort=created_at&limit=2&cursor={cursor}"));
    assert_eq!(rest.expect(200)["data"].as_array().unwrap().len(), 1);
    let pages = one
        .get("/news?sort=created_at&page=2&page_size=2")
        .expect(200);
    assert_eq!(
        (&pages["total"], pages["data"].as_array().unwrap().len()),
        (&json!(3), 1)
    );
    let expanded = two
        .get(&format!("/people/{ann}?expand=news(who)"))
        .expect(200);
    let expanded = expanded["_expand"]["news"]["data"].as_array();
    assert_eq!(expanded.map(Vec::len), Some(3));
    assert_eq!(count(&one, &format!("filter[payload.by]={bob}")), 1);

    // It is changed, by its id and with a condition.
    let oldest = told(&one, &ann).pop().unwrap();
    let path = format!("/news/{}", id(&oldest));
    let changed = two.patch(&path, &json!({ "read": true })).expect(200);
    assert!(changed["_rev"].as_i64() > oldest["_rev"].as_i64());
    assert_eq!(one.get(&path).expect(200), changed);
    assert_eq!(count(&one, "filter[read]=true"), 1);
    wait_left(&scene);
    assert_eq!(one.get(&path).expect(200), changed);
    let many = one.patch(
        "/news?filter[read]=false",
        &json!({ "$set": { "read": true } }),
    );
    assert_eq!(many.expect(200), json!({ "matched": 2, "modified": 2 }));
    assert_eq!(count(&two, "filter[read]=true"), 3);
    wait_left(&scene);

    // Who takes a like back takes back what was told of it.
    one.delete(&format!("/likes/{}", id(&first))).expect(204);
    for client in [&one, &two] {
        client.get(&path).expect(404);
        assert_eq!(told(client, &ann).len(), 2);
    }
    two.delete(&format!("/likes/{}", id(&third))).expect(204);
    // What is told to somebody goes with them.
    one.delete(&format!("/people/{ann}")).expect(204);
    for client in [&one, &two] {
        assert_eq!(count(client, "filter[kind]=like"), 0);
        assert!(told(client, &ann).is_empty());
    }
    wait("nothing is noted", || {
        scene.database.sql("SELECT count(*) FROM nubo.outbox") == "0"
    });
    assert_eq!(count(&one, "filter[kind]=like"), 0);
}

#[test]
fn an_id_is_taken_by_what_has_left() {
    let scene = start();
    let [one, two] = [0, 1].map(|instance| scene.client(instance));
    let ann = person(&one, "Ann");
    let news = json!({ "who": ann, "kind": "note" });
    let known = one.create("news", &news);
    wait_left(&scene);
    let mut again = news.clone();
    again["id"] = known["id"].clone();
    two.post("/news", &again).expect(409);
    let path = format!("/news/{}", id(&known));
    assert_eq!(two.get(&path).expect(200), known);
    two.delete(&path).expect(204);
    one.get(&path).expect(404);
    // Its next life is another version, and outlives what the truth knows of the first.
    let next = one.post("/news", &again).expect(201);
    assert!(next["_rev"].as_i64() > known["_rev"].as_i64());
    wait_left(&scene);
    for client in [&one, &two] {
        assert_eq!(client.get(&path).expect(200), next);
        assert_eq!(told(client, &ann), std::slice::from_ref(&next));
    }
}

#[test]
fn many_are_listed_and_deleted_wherever_they_are() {
    let scene = start();
    let [one, two] = [0, 1].map(|instance| scene.client(instance));
    let ann = person(&one, "Ann");
    let write = |client: &Client, from: usize| {
        let news = (from..from + 700)
            .map(|number| json!({ "create": { "who": ann, "kind": format!("{number:04}") } }));
        let news: Vec<Json> = news.collect();
        client.post("/news/bulk", &json!(news)).expect(200);
    };
    write(&one, 0);
    wait_left(&scene);
    write(&two, 700);
    assert_eq!(count(&one, ""), 1400);
    let mut kinds = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = two
            .get(&format!("/news?sort=kind&limit=200{cursor}"))
            .expect(200);
        let data = page["data"].as_array().unwrap().iter();
        kinds.extend(data.map(|told| told["kind"].as_str().unwrap().parse::<usize>().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(kinds, (0..1400).collect::<Vec<usize>>());
    let deleted = one.delete("/news?filter[kind][$gte]=0100").expect(200);
    assert_eq!(deleted, json!({ "deleted": 1300 }));
    assert_eq!(count(&two, ""), 100);
    wait_left(&scene);
    assert_eq!(count(&two, ""), 100);
}

#[test]
fn while_it_is_away_nothing_else_is() {
    let scene = start();
    let [one, two] = [0, 1].map(|instance| scene.client(instance));
    let ann = person(&one, "Ann");
    let liked = like(&one, &ann, &ann);
    wait_left(&scene);
    let news = told(&two, &ann).pop().unwrap();
    let path = format!("/news/{}", id(&news));
    for instance in &scene.instances {
        instance.to_mongo.as_ref().unwrap().set(Way::Cut);
    }
    for client in [&one, &two] {
        client.get(&path).expect(503);
        client.get("/news").expect(503);
        client.patch(&path, &json!({ "read": true })).expect(503);
        // What would have to go with it is not there to go.
        client.delete(&format!("/likes/{}", id(&liked))).expect(503);
        client.get(&format!("/likes/{}", id(&liked))).expect(200);
        // What is new waits.
        let second = like(client, &ann, &ann);
        client.get(&format!("/likes/{}", id(&second))).expect(200);
        person(client, "Bob");
    }
    assert_eq!(waiting(&scene), "2");
    for instance in &scene.instances {
        instance.to_mongo.as_ref().unwrap().set(Way::Through);
    }
    wait("they are told", || one.get("/news").status == 200);
    assert_eq!(told(&one, &ann).len(), 3);
    wait_left(&scene);
    assert_eq!(told(&two, &ann).len(), 3);
    two.delete(&format!("/likes/{}", id(&liked))).expect(204);
    assert!(told(&one, &ann).is_empty());
}

#[test]
fn what_has_left_expires() {
    let news = NEWS.replace("expires_after: 30d", "expires_after: 12s");
    let collections = [("people", PEOPLE), ("likes", LIKES), ("news", &news)];
    let scene = Scene::start_leaving(&collections, "2s");
    let client = scene.client(0);
    let ann = person(&client, "Ann");
    like(&client, &ann, &ann);
    wait_left(&scene);
    let news = told(&client, &ann).pop().unwrap();
    let path = format!("/news/{}", id(&news));
    wait("it has expired", || client.get(&path).status == 404);
    assert!(told(&client, &ann).is_empty());
    assert_eq!(waiting(&scene), "0");
}

#[test]
fn another_epoch_has_what_the_earlier_ones_had() {
    let scene = start();
    let [one, two] = [0, 1].map(|instance| scene.client(instance));
    let ann = person(&one, "Ann");
    let liked = like(&one, &ann, &ann);
    wait_left(&scene);
    like(&one, &ann, &ann);
    scene.database.sql("UPDATE nubo.recent SET sound = false");
    one.delete(&format!("/likes/{}", id(&liked))).expect(204);
    let last = like(&two, &ann, &ann);
    let state = || scene.database.sql("SELECT number, sound FROM nubo.recent");
    wait("it begins anew", || state() == "2|t");
    wait("both are told", || {
        [&one, &two]
            .iter()
            .all(|client| client.get("/news").status == 200)
    });
    for client in [&one, &two] {
        assert_eq!(told(client, &ann).len(), 1);
    }
    wait_left(&scene);
    assert_eq!(told(&two, &ann).len(), 1);
    two.delete(&format!("/likes/{}", id(&last))).expect(204);
    assert!(told(&one, &ann).is_empty());
}
