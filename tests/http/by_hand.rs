//! SQL that does not come from the server: what is answered from the cache follows.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::server::{Answer, CACHE_DRIVER, Server, Site, truth::postgres::Database};

/// Longer than it may take.
const PATIENCE: Duration = Duration::from_secs(30);

const PLATES: &str = "\
name: plates
domain: kitchen
order: -weight
fields: { shelf: text!, weight: int! }
access: { read: public, create: public, update: public, delete: public }
tiers: { cache: { sets: [shelf] } }
";

const CONFIGURATION: &str = "\
tiers: { cache: { driver: memory } }
";

/// A server with a cache in its memory, and the database behind it.
struct Scene {
    database: Database,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let database = Database::new();
        let site = Site::on_postgres(&database.url);
        site.collection("plates", PLATES);
        site.file("nubo.yaml", CONFIGURATION);
        let server = site.start();
        Self { database, server }
    }

    fn plate(&self, shelf: &str, weight: u32) -> String {
        let plate = json!({ "shelf": shelf, "weight": weight });
        self.server.create_id("plates", &plate)
    }

    fn sql(&self, text: &str) {
        self.database.sql(text);
    }

    /// Asks until the answer is as wanted.
    #[track_caller]
    fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut answer = self.server.get(path);
        while !wanted(&answer) {
            assert!(Instant::now() < end, "{path}: {}", answer.text());
            std::thread::sleep(Duration::from_millis(5));
            answer = self.server.get(path);
        }
    }

    /// Asks until the answer is this, and until it comes from the cache, where there is one. Once it
    /// is right it must not be wrong again.
    #[track_caller]
    fn settles(&self, path: &str, wanted: impl Fn(&Json) -> bool) {
        self.until(path, |answer| {
            answer.status == 200 && wanted(&answer.json())
        });
        let is_cached = std::env::var(CACHE_DRIVER).as_deref() != Ok("none");
        self.until(path, |answer| {
            assert!(wanted(&answer.expect(200)), "{}", answer.text());
            !is_cached || answer.header("x-nubo-tier") == Some("cache")
        });
    }

    fn settles_at(&self, path: &str, weights: &[u64]) {
        self.settles(path, |list| {
            let data = list["data"].as_array().expect("a list").iter();
            data.map(|plate| plate["weight"].as_u64().expect("a number"))
                .eq(weights.iter().copied())
        });
    }
}

#[test]
fn documents_and_lists_follow_what_is_written_with_sql() {
    let scene = Scene::new();
    let (top, bottom) = ("/plates?filter[shelf]=top", "/plates?filter[shelf]=bottom");
    let ids: Vec<String> = (1..=3).map(|weight| scene.plate("top", weight)).collect();
    scene.plate("bottom", 9);
    let path = format!("/plates/{}", ids[0]);
    scene.settles(&path, |plate| plate["weight"] == 1);
    scene.settles_at(top, &[3, 2, 1]);
    scene.settles_at(bottom, &[9]);

    // Without another revision, and to another place in the list.
    scene.sql(&format!(
        "UPDATE kitchen.plates SET weight = 7 WHERE id = '{}'",
        ids[0]
    ));
    scene.settles(&path, |plate| plate["weight"] == 7);
    scene.settles_at(top, &[7, 3, 2]);
    // To another list.
    scene.sql(&format!(
        "UPDATE kitchen.plates SET shelf = 'bottom' WHERE id = '{}'",
        ids[1]
    ));
    scene.settles_at(top, &[7, 3]);
    scene.settles_at(bottom, &[9, 2]);
    // A new one, and one that goes.
    scene.sql(
        "INSERT INTO kitchen.plates (id, shelf, weight, created_at, updated_at, _rev) \
         VALUES (gen_random_uuid(), 'bottom', 5, now(), now(), 1)",
    );
    scene.settles_at(bottom, &[9, 5, 2]);
    scene.sql(&format!(
        "DELETE FROM kitchen.plates WHERE id = '{}'",
        ids[0]
    ));
    scene.until(&path, |answer| answer.status == 404);
    scene.settles_at(top, &[3]);

    // The server goes on from there.
    let change = json!({ "weight": 4 });
    let path = format!("/plates/{}", ids[1]);
    scene.server.patch(&path, &change).expect(200);
    scene.settles_at(bottom, &[9, 5, 4]);

    scene.sql("TRUNCATE kitchen.plates");
    scene.settles_at(bottom, &[]);
    scene.until(&path, |answer| answer.status == 404);
}

#[test]
fn thousands_of_rows_at_once_are_seen_as_well() {
    let scene = Scene::new();
    let list = "/plates?filter[shelf]=top&limit=2";
    scene.plate("top", 1);
    scene.settles_at(list, &[1]);
    scene.sql(
        "INSERT INTO kitchen.plates (id, shelf, weight, created_at, updated_at, _rev) \
         SELECT gen_random_uuid(), 'top', n, now(), now(), 1 FROM generate_series(2, 3000) n",
    );
    scene.settles_at(list, &[3000, 2999]);
    scene.sql("UPDATE kitchen.plates SET weight = weight + 10000 WHERE weight > 2500");
    scene.settles_at(list, &[13000, 12999]);
}

#[test]
fn what_is_written_while_the_server_is_cut_off_is_seen_when_it_is_back() {
    let scene = Scene::new();
    let list = "/plates?filter[shelf]=top";
    let id = scene.plate("top", 1);
    scene.settles_at(list, &[1]);
    for weight in [20, 30, 40] {
        scene.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid(); \
             UPDATE kitchen.plates SET weight = {weight} WHERE id = '{id}'"
        ));
        scene.settles_at(list, &[weight]);
    }
}
