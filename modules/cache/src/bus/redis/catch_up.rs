//! Finding out what was told on the open channels while this instance did not hear.

use std::collections::BTreeSet;

use super::{
    answer::{Failure, Told},
    server::Server,
};

/// Channels that are asked about at once, and payloads that are fetched at once.
const CHANNELS_AT_ONCE: usize = 200;
const PAYLOADS_AT_ONCE: usize = 64;

/// A channel, and the last event that was heard there; none where nothing before now is of interest.
pub(super) type Place<'a> = (&'a str, Option<u64>);

/// What was told meanwhile.
pub(super) struct CaughtUp {
    /// Everything up to here is in it. What comes later is heard anyway.
    pub sequence: u64,
    /// The last event of each channel, in their order.
    pub last: Vec<u64>,
    /// The events in their order, each once; none where it cannot be said what they are.
    pub events: Option<Vec<(u64, Vec<u8>)>>,
}

/// Opens the channels, or keeps them open, and reads what was told there.
///
/// `delivered` is the last event that was heard on any of them.
pub(super) async fn read(
    server: &Server,
    epoch: u64,
    listens: bool,
    places: &[Place<'_>],
    delivered: u64,
) -> Result<CaughtUp, Failure> {
    let mut horizon = None;
    let mut newest = 0;
    let mut all: Vec<(Option<u64>, Told)> = Vec::with_capacity(places.len());
    for places in places.chunks(CHANNELS_AT_ONCE) {
        let opened = server.open(epoch, listens, places).await?;
        horizon.get_or_insert(opened.sequence);
        newest = opened.sequence;
        let since = places.iter().map(|(_, since)| *since);
        all.extend(since.zip(opened.channels));
    }
    let horizon = horizon.unwrap_or_default();
    // An event before the last one that was heard would come out of its order.
    let is_whole = all.iter().all(|(since, told)| {
        since.is_none_or(|since| {
            let mut entries = told.entries.iter();
            told.is_complete(since) && entries.all(|entry| entry.at >= delivered)
        })
    });
    let lost = || CaughtUp {
        sequence: newest,
        last: all.iter().map(|(_, told)| told.last).collect(),
        events: None,
    };
    if !is_whole {
        return Ok(lost());
    }
    // Channels were asked about one after the other; only up to the first answer all have spoken.
    let missed: BTreeSet<u64> = all
        .iter()
        .flat_map(|(_, told)| told.entries.iter().map(|entry| entry.at))
        .filter(|at| *at > delivered && *at <= horizon)
        .collect();
    let Some(events) = payloads(server, epoch, missed.into_iter().collect()).await? else {
        return Ok(lost());
    };
    let last = all.iter().map(|(since, told)| match since {
        None => told.last,
        Some(since) => {
            let heard = told.entries.iter().rev().find(|entry| entry.at <= horizon);
            heard.map_or(*since, |entry| entry.at)
        }
    });
    Ok(CaughtUp {
        sequence: horizon,
        last: last.collect(),
        events: Some(events),
    })
}

/// Events by their places; none where one is not kept any more.
pub(super) async fn payloads(
    server: &Server,
    epoch: u64,
    places: Vec<u64>,
) -> Result<Option<Vec<(u64, Vec<u8>)>>, Failure> {
    let mut events = Vec::with_capacity(places.len());
    for places in places.chunks(PAYLOADS_AT_ONCE) {
        let payloads = server.payloads(epoch, places).await?;
        for (at, payload) in places.iter().zip(payloads) {
            match payload {
                Some(payload) => events.push((*at, payload)),
                None => return Ok(None),
            }
        }
    }
    Ok(Some(events))
}
