//! The connection is cut around COMMIT: nobody can know from it what became of the write.

use serde_json::json;

use crate::{
    load::{Load, site},
    proxy::Proxy,
    server::truth::postgres::{Database, Server},
};

/// How many connections are cut before the account is settled.
const CUTS: u64 = 45;

#[test]
fn each_write_whose_commit_is_cut_is_answered_truthfully_and_none_is_doubled() {
    let postgres = Server::start();
    let database = Database::on(&postgres.url());
    let proxy = Proxy::start(postgres.port(), 20);
    let through = database
        .url
        .replace(&postgres.port().to_string(), &proxy.port.to_string());
    let site = site(&format!("{through}?sslmode=disable"));
    let server = site.start();
    let counter = server.create_id("counters", &json!({ "value": 0 }));
    let load = Load::start(&server.client(), &counter, 12);
    load.wait("connections are cut", |_| proxy.cuts() >= CUTS);
    let account = load.stop();
    let notes = database.sql("SELECT number FROM main.notes");
    let notes: Vec<u64> = notes.lines().map(|line| line.parse().unwrap()).collect();
    let value = database.sql("SELECT value FROM main.counters");
    account.holds(&notes, value.parse().unwrap());
    assert!(account.written.len() > 300, "{}", account.written.len());
    // With the database there, every outcome is found out.
    assert_eq!(account.unknown.len(), 0);
    assert_eq!(account.perhaps_raised, 0);
    server.stop();
}
