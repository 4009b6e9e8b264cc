//! The recent tier: what was created or used of late, in MongoDB.
//!
//! * [`stored`] says how a document stands there: typed BSON that people can read with mongosh, and
//!   that is written out as the bytes that are sent without a stop in between.
//! * [`filter`] says what the filter language is in MongoDB's own, with the meaning of
//!   `core::filter`; [`query`](mod@query) adds order and place.
//! * [`indexes`] compares what collections need with what is there, and makes what is missing.
//! * [`sharding`] has a cluster spread them.
//! * [`write`](mod@write) brings versions of documents, of which the newest stays, in whatever order
//!   and however often they come.
//! * [`read`] reads documents and lists; [`trust`] says whether what was read counts.
//! * [`state`] is what the store says of itself: its epoch, and how far each process has come.
//! * [`upkeep`] notes what is used and deletes what is outdated.
//! * [`connect`] opens the connection, [`monitor`] logs what is said on it.
//!
//! It never decides which questions it may answer. A tier that lags behind the truth would have to
//! say so, and it cannot know; that is for the store, which knows what is pending. Start reading at
//! [`MongoRecent`].

#![forbid(unsafe_code)]

mod connect;
mod fault;
mod filter;
mod indexes;
mod limit;
mod monitor;
mod query;
mod read;
mod recent;
mod settings;
mod sharding;
mod state;
mod stored;
mod trust;
mod upkeep;
mod write;

pub use recent::MongoRecent;
pub use settings::{MongoSettings, is_mongo_address};
