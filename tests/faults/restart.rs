//! The database stops and starts again while people write.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    load::{Load, site},
    server::truth::postgres::{Database, Server},
};

#[test]
fn what_was_acknowledged_survives_a_database_that_stops_and_starts() {
    let mut postgres = Server::start();
    let database = Database::on(&postgres.url());
    let site = site(&database.url);
    let server = site.start();
    let counter = server.create_id("counters", &json!({ "value": 0 }));
    let load = Load::start(&server.client(), &counter, 16);
    let mut written = 0;
    for round in 0..4 {
        load.wait("writes go on", |account| {
            account.written.len() > written + 300
        });
        match round % 2 {
            0 => postgres.stop(),
            _ => postgres.crash(),
        }
        let refused = load.see(|account| account.refused.len());
        load.wait("writes are refused", |account| {
            account.refused.len() > refused + 50
        });
        // Whoever asks for health hears of it as well.
        server.get("/ready").problem(503, "truth_unavailable");
        load.see(|account| account.back_at = None);
        let starting = Instant::now();
        postgres.resume();
        let up = Instant::now();
        written = load.see(|account| account.written.len());
        load.wait("writes go on again", |account| {
            account.back_at.is_some() && account.written.len() > written + 100
        });
        let back = load.see(|account| account.back_at).unwrap();
        let after = back.saturating_duration_since(up);
        assert!(
            after < Duration::from_secs(2),
            "{after:?} after the database, which took {:?}",
            up - starting
        );
    }
    let account = load.stop();
    let notes = database.sql("SELECT number FROM main.notes");
    let notes: Vec<u64> = notes.lines().map(|line| line.parse().unwrap()).collect();
    let value = database.sql("SELECT value FROM main.counters");
    account.holds(&notes, value.parse().unwrap());
    server.stop();
}
