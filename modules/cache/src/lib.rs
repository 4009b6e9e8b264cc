//! What is kept in memory: the bus of one process.
//!
//! [`LocalBus`] carries events from those who write to those who listen as long as both are in this
//! process, and keeps the last minutes of what was heard. It knows nothing of access rules or of
//! WebSockets; what it carries is `core`'s [`Event`](nubo_core::bus::Event).

#![forbid(unsafe_code)]

mod bus;

pub use bus::{LocalBus, LocalBusSettings};
