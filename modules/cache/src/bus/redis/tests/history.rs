//! Whatever happens: each listener hears each event of its channels once, in the one order that all
//! agree on, or is told of a gap.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::Mutex;

use super::*;
use crate::bus::tests::{channel, event, number, until};

const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];
const PUBLISHERS: u64 = 4;
const EVENTS_EACH: u64 = 250;
/// Numbers of one publisher are below the next one's.
const APART: u64 = 1_000_000;
/// What the instances say last.
const LAST: [u128; 2] = [u128::MAX - 1, u128::MAX];

/// The channels of each event, by its number.
type Said = Mutex<BTreeMap<u128, BTreeSet<&'static str>>>;

/// What a listener has heard, in its order.
#[derive(Default)]
struct Log(Vec<Heard>);

impl Log {
    /// What was heard without a gap in between.
    fn segments(&self) -> Vec<Vec<&Published>> {
        let mut segments = vec![Vec::new()];
        for heard in &self.0 {
            match (heard, segments.last_mut()) {
                (Heard::Event(published), Some(segment)) => segment.push(published),
                _ => segments.push(Vec::new()),
            }
        }
        segments
    }

    fn events(&self) -> impl Iterator<Item = &Published> {
        self.0.iter().filter_map(|heard| match heard {
            Heard::Event(published) => Some(published),
            Heard::Gap(_) => None,
        })
    }

    /// The numbers and positions of the events on a channel since the last gap.
    fn on(&self, name: &str) -> Vec<(u128, Position)> {
        let segments = self.segments();
        let events = segments.into_iter().next_back().unwrap_or_default();
        place_all(events.into_iter().filter(|heard| is_on(heard, name)))
    }
}

fn is_on(published: &Published, name: &str) -> bool {
    published.event.channels.contains(&channel(name))
}

fn place_all<'a>(events: impl Iterator<Item = &'a Published>) -> Vec<(u128, Position)> {
    events
        .map(|published| (number(&published.event), published.position))
        .collect()
}

async fn listen(instance: &RedisBus, log: &Mutex<Log>) {
    loop {
        let heard = instance.next().await;
        log.lock().await.0.extend(heard);
    }
}

/// Publishes events on channels by chance, a few at a time.
async fn publish(instance: &RedisBus, random: &Seeded, start: u64, said: &Said) {
    let mut next = start;
    while next < start + EVENTS_EACH {
        let mut events = Vec::new();
        for _ in 0..=random.below(4) {
            let channels: BTreeSet<&'static str> = (0..=random.below(3))
                .map(|_| CHANNELS[random.below(4) as usize])
                .collect();
            let names: Vec<&str> = channels.iter().copied().collect();
            events.push(event(&names, u128::from(next)));
            said.lock().await.insert(u128::from(next), channels);
            next += 1;
        }
        instance.publish(events);
        tokio::time::sleep(Duration::from_micros(random.below(3000))).await;
    }
}

/// Cuts connections by chance, and now and then lets Redis forget everything.
async fn disturb(server: &mut RedisServer, random: &Seeded, forgets: bool) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.below(40))).await;
        match random.below(if forgets { 10 } else { 8 }) {
            0..4 => kill(server, "pubsub").await,
            4..8 => kill(server, "normal").await,
            8 => server.command::<()>(&["FLUSHALL"]).await,
            _ => server.restart().await,
        }
    }
}

async fn kill(server: &RedisServer, kind: &str) {
    let words = ["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"];
    server.command::<u32>(&words).await;
}

/// Comes back to channels by chance, at a position at which something was heard, and gets what was
/// heard there since. How often that worked.
async fn resume(instance: &RedisBus, random: &Seeded, log: &Mutex<Log>, resumed: &Mutex<u32>) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.below(10))).await;
        let name = CHANNELS[random.below(3) as usize];
        let mut known = log.lock().await.on(name);
        if known.is_empty() {
            continue;
        }
        let (_, since) = known[random.below(known.len() as u64) as usize];
        // It may be cut off just now, or all may be forgotten.
        let Ok(Replay::Events(events)) = instance.replay(&channel(name), since).await else {
            continue;
        };
        known.retain(|(_, position)| position.sequence > since.sequence);
        // More may have come meanwhile.
        let replayed = place_all(events.iter());
        assert_eq!(replayed[..known.len()], known);
        *resumed.lock().await += 1;
    }
}

/// What was heard is what was said, from some event on after each gap, and from the first one where
/// there was none. Within that nothing is heard twice; before and after a gap it may be, where Redis
/// has forgotten that it was told.
fn check(log: &Log, names: &[&str], said: &BTreeMap<u128, BTreeSet<&'static str>>) {
    let positions: Vec<u64> = log.events().map(|heard| heard.position.sequence).collect();
    assert!(positions.is_sorted_by(|a, b| a < b));
    let segments = log.segments();
    for (index, segment) in segments.iter().enumerate() {
        for publisher in 0..PUBLISHERS {
            let own = |number: &u128| {
                *number < LAST[0] && number / u128::from(APART) == u128::from(publisher)
            };
            let heard: Vec<u128> = segment.iter().map(|heard| number(&heard.event)).collect();
            let heard: Vec<u128> = heard.into_iter().filter(own).collect();
            let said = said.iter().filter(|(number, _)| own(number));
            let said = said.filter(|(_, on)| names.iter().any(|name| on.contains(name)));
            let said: Vec<u128> = said.map(|(number, _)| *number).collect();
            let is_last = index + 1 == segments.len();
            match (segments.len(), is_last) {
                (1, _) => assert_eq!(heard, said),
                (_, true) => assert!(said.ends_with(&heard), "{heard:?} ends {said:?}"),
                (_, false) => assert!(
                    heard.is_empty() || said.windows(heard.len()).any(|some| some == heard),
                    "{heard:?} is a piece of {said:?}"
                ),
            }
        }
    }
}

async fn history(seed: u64, forgets: bool) {
    let random = Seeded::new(seed);
    let mut server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let channels = [["a", "b", "c"], ["a", "c", "d"]];
    for (instance, names) in [&one, &two].into_iter().zip(channels) {
        for name in names {
            instance.open(&channel(name)).await.unwrap();
        }
    }
    let logs = [Mutex::new(Log::default()), Mutex::new(Log::default())];
    let said = Said::default();
    let resumed = Mutex::new(0);
    let publishing = async {
        let publishers = (0..PUBLISHERS).map(|publisher| {
            let instance = [&one, &two][(publisher % 2) as usize];
            publish(instance, &random, publisher * APART, &said)
        });
        futures_util::future::join_all(publishers).await
    };
    let working = async {
        tokio::select! {
            _ = publishing => {}
            () = disturb(&mut server, &random, forgets) => {}
        }
        until("both are in the same epoch", async || {
            let name = channel("a");
            let (one, two) = (one.open(&name).await, two.open(&name).await);
            matches!((one, two), (Ok(one), Ok(two)) if one.epoch == two.epoch)
        })
        .await;
        // Comes after everything that was said before, on both.
        one.publish(vec![event(&["a"], LAST[0])]);
        two.publish(vec![event(&["a"], LAST[1])]);
        for log in &logs {
            until("all is heard", async || {
                let log = log.lock().await;
                let heard: Vec<u128> = log.events().map(|heard| number(&heard.event)).collect();
                LAST.iter().all(|last| heard.contains(last))
            })
            .await;
        }
    };
    tokio::select! {
        () = working => {}
        () = listen(&one, &logs[0]) => {}
        () = listen(&two, &logs[1]) => {}
        () = resume(&one, &random, &logs[0], &resumed) => {}
    }
    one.stop().await;
    two.stop().await;
    let (said, resumed) = (said.into_inner(), resumed.into_inner());
    assert!(forgets || resumed > 0);
    let logs = logs.map(Mutex::into_inner);
    for (log, names) in logs.iter().zip(channels) {
        check(log, &names, &said);
    }
    if !forgets {
        let gaps = logs.iter().map(|log| log.segments().len() - 1);
        assert_eq!(gaps.sum::<usize>(), 0, "nothing was lost");
        for name in ["a", "c"] {
            assert_eq!(logs[0].on(name), logs[1].on(name));
        }
    }
}

#[tokio::test]
async fn cuts_lose_nothing() {
    for seed in 1..=3 {
        history(seed, false).await;
    }
}

#[tokio::test]
async fn what_is_lost_is_told() {
    for seed in 11..=13 {
        history(seed, true).await;
    }
}

/// A client that listens to one channel, as a hub lets it.
struct Client<'a> {
    instance: &'a RedisBus,
    name: Channel,
    /// What it saw last.
    since: Position,
    /// What it has heard already; none while it is away.
    after: Option<u64>,
    seen: &'a Mutex<Vec<u128>>,
}

impl Client<'_> {
    /// Comes and goes by chance, and resumes each time.
    async fn run(mut self, random: &Seeded) {
        loop {
            let pause = Duration::from_millis(random.below(30));
            tokio::select! {
                heard = self.instance.next() => {
                    for heard in heard {
                        self.hear(heard).await;
                    }
                }
                () = tokio::time::sleep(pause) => match self.after.take() {
                    Some(_) => self.instance.close(&self.name).await,
                    None => self.resume().await,
                },
            }
        }
    }

    async fn hear(&mut self, heard: Heard) {
        let Heard::Event(published) = heard else {
            panic!("nothing was lost");
        };
        let sequence = published.position.sequence;
        if published.event.channels.contains(&self.name)
            && self.after.is_some_and(|after| after < sequence)
        {
            self.after = Some(sequence);
            self.see(&published).await;
        }
    }

    async fn see(&mut self, published: &Published) {
        self.since = published.position;
        self.seen.lock().await.push(number(&published.event));
    }

    async fn resume(&mut self) {
        // It may be cut off just now.
        let Ok(head) = self.instance.open(&self.name).await else {
            return;
        };
        match self.instance.replay(&self.name, self.since).await {
            Ok(Replay::Events(events)) => {
                for published in &events {
                    self.see(published).await;
                }
                self.after = Some(head.sequence.max(self.since.sequence));
            }
            Ok(Replay::Gap) => panic!("nothing was lost"),
            Err(_) => {}
        }
    }
}

async fn resuming(seed: u64) {
    let random = Seeded::new(seed);
    let mut server = RedisServer::start();
    let Instances { one, two } = Instances::on(&server);
    let said = Said::default();
    let seen = [Mutex::default(), Mutex::default()];
    let mut clients = Vec::new();
    for (instance, seen) in [&one, &two].into_iter().zip(&seen) {
        let since = instance.open(&channel("a")).await.unwrap();
        clients.push(Client {
            instance,
            name: channel("a"),
            since,
            after: Some(since.sequence),
            seen,
        });
    }
    let working = async {
        tokio::select! {
            _ = async {
                tokio::join!(
                    publish(&one, &random, 0, &said),
                    publish(&two, &random, APART, &said),
                )
            } => {}
            () = disturb(&mut server, &random, false) => {}
        }
        one.publish(vec![event(&["a"], LAST[0])]);
        two.publish(vec![event(&["a"], LAST[1])]);
        for seen in &seen {
            until("all is seen", async || {
                let seen = seen.lock().await;
                LAST.iter().all(|last| seen.contains(last))
            })
            .await;
        }
    };
    let clients = clients.into_iter().map(|client| client.run(&random));
    tokio::select! {
        () = working => {}
        _ = futures_util::future::join_all(clients) => {}
    }
    one.stop().await;
    two.stop().await;
    let [first, second] = seen.map(Mutex::into_inner);
    assert_eq!(first, second);
    let mut sorted = first;
    sorted.sort_unstable();
    let said = said.into_inner();
    let on_it = said.iter().filter(|(_, on)| on.contains("a"));
    let expected: Vec<u128> = on_it.map(|(number, _)| *number).chain(LAST).collect();
    assert_eq!(sorted, expected);
}

#[tokio::test]
async fn whoever_resumes_sees_each_event_once() {
    for seed in 21..=23 {
        resuming(seed).await;
    }
}
