//! Several servers over one PostgreSQL and one Redis, and with a recent tier one MongoDB, all of them real and none of them safe: they
//! are killed, stopped for a while, restarted with old data, and cut off from each other.
//!
//! [`recent`] looks at where answers come from, and [`tiers`] at what is said of that; [`alone`] at what the
//! truth does not keep. [`history`] records what clients of both servers are told meanwhile, and has it judged:
//! documents by [`register`], lists by [`membership`]. [`gate`] looks at single failures, and
//! [`hub`] at events that reach whoever listens elsewhere, [`order`] at those of documents that both
//! servers write. [`scene`] sets all of it up.

#![allow(clippy::unwrap_used)]

mod alone;
mod by_hand;
mod chaos;
mod clients;
mod dice;
mod gate;
mod history;
mod hub;
#[path = "../hub/judge.rs"]
#[allow(dead_code)] // As below.
mod judge;
mod link;
mod listener;
mod membership;
#[path = "../services/mongodb.rs"]
mod mongodb;
mod order;
#[path = "../hub/people.rs"]
#[allow(dead_code)] // As below.
mod people;
mod recent;
#[path = "../services/redis.rs"]
mod redis;
mod register;
mod scene;
#[path = "../http/server.rs"]
#[allow(dead_code)] // It serves more tests than these.
mod server;
#[path = "../hub/socket.rs"]
#[allow(dead_code)] // As above.
mod socket;
mod tiers;

/// Documents that are held in the cache by id, by shelf, and by rank.
pub const CELLS: &str = "\
name: cells
order: -rank
fields: { value: int!, shelf: int!, rank: int!, raised: { type: int, default: 0 } }
indexes: [[-rank], [shelf, -rank]]
access: { read: public, create: public, update: public, delete: public }
tiers: { cache: { sets: [shelf] } }
";

/// The same in the recent tier alone.
pub const ALONE_CELLS: &str = "\
name: cells
order: -rank
fields: { value: int!, shelf: int!, rank: int!, raised: { type: int, default: 0 } }
indexes: [[-rank], [shelf, -rank]]
access: { read: public, create: public, update: public, delete: public }
tiers: { recent: { window: 30d }, truth: none }
";

/// The same in the recent tier, and not in the cache.
pub const RECENT_CELLS: &str = "\
name: cells
order: -rank
fields: { value: int!, shelf: int!, rank: int!, raised: { type: int, default: 0 } }
indexes: [[-rank], [shelf, -rank]]
access: { read: public, create: public, update: public, delete: public }
tiers: { recent: { window: 30d } }
";
