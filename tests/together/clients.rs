//! Clients that take another server and another route for each request, and record what they were
//! told.

use std::{
    collections::BTreeMap,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::{
    dice::Dice,
    register::{Moment, Outcome, Sight, Story, Version, Write},
    scene::is_from,
    server::{Answer, Client},
};

/// How many documents there are.
pub const DOCUMENTS: usize = 50;
/// The shelves on which most of them stay.
const SHELVES: u64 = 5;
/// How many documents lists show.
const SHOWN: usize = 20;
/// How long a client waits for an answer.
pub const LIMIT: Duration = Duration::from_secs(15);
/// How long it waits that was refused, or found nobody.
const PAUSE: Duration = Duration::from_millis(10);

/// Where the servers are at present, and what all clients share.
pub struct World {
    pub doors: [RwLock<Client>; 2],
    /// The ids of the documents.
    pub ids: Vec<String>,
    pub begun: Instant,
    pub stop: AtomicBool,
    /// The tier that is looked at.
    pub tier: &'static str,
    /// How many answers came from there so far.
    pub from_tier: AtomicU64,
    /// Lists are asked for what was created since then, where that matters.
    pub since: Option<String>,
}

/// What a list was to show.
#[derive(Debug, Clone)]
pub enum Wanted {
    Newest,
    Shelf(u64),
    These(Vec<usize>),
}

/// A list, and which documents were in it.
#[derive(Debug, Clone)]
pub struct Listing {
    pub wanted: Wanted,
    pub shown: Vec<(usize, Version)>,
    pub is_full: bool,
    pub called: Moment,
    pub returned: Moment,
}

impl Listing {
    /// Whether a version belongs in it.
    pub fn wants(&self, document: usize, version: &Version) -> bool {
        let is_asked = match &self.wanted {
            Wanted::Newest => true,
            Wanted::Shelf(shelf) => version.shelf == *shelf,
            Wanted::These(documents) => documents.contains(&document),
        };
        let last = self.shown.last().map_or(0, |(_, last)| last.rank);
        is_asked && (!self.is_full || version.rank > last)
    }
}

/// What a client was told.
#[derive(Default)]
pub struct Record {
    pub stories: Vec<Story>,
    pub listings: Vec<Listing>,
    pub reads: u64,
    pub writes: u64,
    pub from_tier: u64,
    /// How many were refused, by the codes of their problems.
    pub refused: BTreeMap<String, u64>,
    pub unknown: u64,
    pub unanswered: u64,
    /// Answers that nobody may get.
    pub wrong: Vec<String>,
}

impl Record {
    /// With nothing in it.
    pub fn new() -> Self {
        Self {
            stories: vec![Story::default(); DOCUMENTS],
            ..Self::default()
        }
    }

    /// Adds what another client was told.
    pub fn add(&mut self, other: Self) {
        for (story, more) in self.stories.iter_mut().zip(other.stories) {
            story.writes.extend(more.writes);
            story.sights.extend(more.sights);
        }
        self.listings.extend(other.listings);
        self.wrong.extend(other.wrong);
        self.reads += other.reads;
        self.writes += other.writes;
        self.from_tier += other.from_tier;
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.unknown += other.unknown;
        self.unanswered += other.unanswered;
    }
}

/// A client.
pub struct Worker<'a> {
    world: &'a World,
    number: u64,
    counter: u64,
    dice: Dice,
    /// Connections of its own to each server, and where they lead.
    clients: [Option<Client>; 2],
    record: Record,
    /// Who has answered last.
    by: &'static str,
    /// The document that it has just deleted.
    deleted: Option<usize>,
}

/// One write, and what becomes of its document.
struct Plan {
    document: usize,
    leaves: Option<Version>,
    verb: Verb,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Change,
    Replace,
    Delete,
}

impl<'a> Worker<'a> {
    pub fn new(world: &'a World, number: u64, seed: u64) -> Self {
        Self {
            world,
            number,
            counter: 0,
            dice: Dice::new(seed, number + 1),
            clients: [None, None],
            record: Record::new(),
            by: "",
            deleted: None,
        }
    }

    /// Works until it is told to stop.
    pub fn work(mut self) -> Record {
        while !self.world.stop.load(Ordering::Relaxed) {
            self.step();
        }
        self.record
    }

    /// Creates these documents.
    pub fn furnish(mut self, documents: impl Iterator<Item = usize>) -> Record {
        for document in documents {
            let plan = self.plan(document, Verb::Create);
            self.write(&plan);
        }
        self.record
    }

    /// Reads every document by either server, once and in a list.
    pub fn look_at_everything(mut self) -> Record {
        for instance in 0..2 {
            for document in 0..DOCUMENTS {
                self.read(instance, document);
            }
            for shelf in 0..SHELVES {
                self.list(instance, Wanted::Shelf(shelf));
            }
            self.list(instance, Wanted::Newest);
        }
        self.record
    }

    fn step(&mut self) {
        if let Some(document) = self.deleted.take() {
            let plan = self.plan(document, Verb::Create);
            self.write(&plan);
            return;
        }
        let document = self.document();
        let instance = self.instance();
        match self.dice.below(100) {
            0..35 => self.read(instance, document),
            35..48 => {
                let shelf = self.dice.below(SHELVES);
                self.list(instance, Wanted::Shelf(shelf));
            }
            48..55 => self.list(instance, Wanted::Newest),
            55..63 => {
                let count = 2 + self.dice.below(9);
                let mut these: Vec<usize> = (0..count).map(|_| self.document()).collect();
                these.sort_unstable();
                these.dedup();
                self.list(instance, Wanted::These(these));
            }
            63..82 => self.write_one(document, Verb::Change),
            82..90 => self.write_one(document, Verb::Replace),
            90..94 => self.write_one(document, Verb::Delete),
            _ => self.bulk(instance),
        }
    }

    fn write_one(&mut self, document: usize, verb: Verb) {
        let plan = self.plan(document, verb);
        self.write(&plan);
    }

    /// Some are more in demand than others.
    fn document(&mut self) -> usize {
        let most = 1 + self.dice.below(DOCUMENTS as u64);
        self.dice.below(most) as usize
    }

    fn instance(&mut self) -> usize {
        self.dice.below(2) as usize
    }

    /// A version that nobody else writes. Documents mostly stay on their shelves.
    fn plan(&mut self, document: usize, verb: Verb) -> Plan {
        let documents = DOCUMENTS as u64;
        let version = (verb != Verb::Delete).then(|| {
            self.counter += 1;
            let at_home = self.dice.below(4) > 0;
            Version {
                value: self.number * 1_000_000 + self.counter,
                shelf: match at_home {
                    true => document as u64 % SHELVES,
                    false => self.dice.below(SHELVES),
                },
                // No two documents have the same.
                rank: self.dice.below(100) * documents + document as u64 + 1,
            }
        });
        Plan {
            document,
            leaves: version,
            verb,
        }
    }

    fn now(&self) -> Moment {
        self.world.begun.elapsed().as_nanos() as Moment
    }

    fn client(&mut self, instance: usize) -> Client {
        let door = self.world.doors[instance].read().unwrap();
        let place = &mut self.clients[instance];
        match place {
            Some(client) if client.address() == door.address() => client.clone(),
            _ => place.insert(door.within(LIMIT)).clone(),
        }
    }

    /// Asks, and says from when to when. None where no answer came.
    fn ask(
        &mut self,
        instance: usize,
        method: &str,
        path: &str,
        body: Option<&Json>,
    ) -> (Option<Answer>, Moment, Moment) {
        let client = self.client(instance);
        let mut request = client.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let called = self.now();
        let answer = request.try_send();
        let returned = self.now();
        let is_from_cache = answer
            .as_ref()
            .is_ok_and(|answer| answer.header("x-nubo-tier") == Some(self.world.tier));
        self.by = match (instance, is_from_cache) {
            (0, false) => "the first",
            (0, true) => "the first, from the tier above",
            (_, false) => "the second",
            (_, true) => "the second, from the tier above",
        };
        if answer.is_err() {
            self.record.unanswered += 1;
            std::thread::sleep(PAUSE);
        }
        (answer.ok(), called, returned)
    }

    fn count_read(&mut self, answer: &Answer) {
        self.record.reads += 1;
        if is_from(answer, self.world.tier) {
            self.record.from_tier += 1;
            self.world.from_tier.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether it is a refusal that anybody may get.
    fn is_refusal(&mut self, status: u64, body: &Json) -> bool {
        if status != 503 {
            self.record.wrong.push(format!("{status}: {body}"));
            return false;
        }
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        *self.record.refused.entry(code).or_default() += 1;
        std::thread::sleep(PAUSE);
        true
    }

    fn sees(&mut self, document: usize, found: Option<&Json>, called: Moment, returned: Moment) {
        let found = found.map(|body| (version(body), body["_rev"].as_u64().unwrap()));
        self.record.stories[document].sights.push(Sight {
            found,
            by: self.by,
            called,
            returned,
        });
    }

    fn read(&mut self, instance: usize, document: usize) {
        let path = format!("/cells/{}", self.world.ids[document]);
        let (Some(answer), called, returned) = self.ask(instance, "GET", &path, None) else {
            return;
        };
        self.count_read(&answer);
        match answer.status {
            200 => self.sees(document, Some(&answer.json()), called, returned),
            404 => {
                self.sees(document, None, called, returned);
                // Somebody has to bring it back, where whoever deleted it could not.
                if self.dice.below(4) == 0 {
                    self.deleted = Some(document);
                }
            }
            status => drop(self.is_refusal(status.into(), &answer.json())),
        }
    }

    fn list(&mut self, instance: usize, wanted: Wanted) {
        let mut filter = match &wanted {
            Wanted::Newest => None,
            Wanted::Shelf(shelf) => Some(json!({ "shelf": shelf })),
            Wanted::These(documents) => {
                let ids: Vec<&String> = documents.iter().map(|at| &self.world.ids[*at]).collect();
                Some(json!({ "id": { "$in": ids } }))
            }
        };
        if let (Some(since), Wanted::Newest | Wanted::Shelf(_)) = (&self.world.since, &wanted) {
            let filter = filter.get_or_insert_with(|| json!({}));
            filter["created_at"] = json!({ "$gte": since });
        }
        let filter = filter.map(|filter| crate::server::encode(&filter.to_string()));
        let filter = filter.map_or_else(String::new, |filter| format!("&filter={filter}"));
        let path = format!("/cells?limit={SHOWN}{filter}");
        let (Some(answer), called, returned) = self.ask(instance, "GET", &path, None) else {
            return;
        };
        self.count_read(&answer);
        let body = answer.json();
        if answer.status != 200 {
            self.is_refusal(answer.status.into(), &body);
            return;
        }
        let mut shown = Vec::new();
        for found in body["data"].as_array().unwrap() {
            let id = found["id"].as_str().unwrap();
            let document = self.world.ids.iter().position(|known| known == id).unwrap();
            self.sees(document, Some(found), called, returned);
            shown.push((document, version(found)));
        }
        let listing = Listing {
            is_full: shown.len() == SHOWN,
            wanted,
            shown,
            called,
            returned,
        };
        let in_order = listing.shown.is_sorted_by(|a, b| a.1.rank > b.1.rank);
        let wanted = listing
            .shown
            .iter()
            .all(|(document, version)| match listing.wanted {
                Wanted::Shelf(shelf) => version.shelf == shelf,
                Wanted::These(ref these) => these.contains(document),
                Wanted::Newest => true,
            });
        if !in_order || !wanted {
            self.record.wrong.push(format!("{listing:?}"));
        }
        self.record.listings.push(listing);
    }

    fn write(&mut self, plan: &Plan) {
        let path = format!("/cells/{}", self.world.ids[plan.document]);
        let body = self.body(plan);
        let (method, path) = match plan.verb {
            Verb::Create => ("POST", "/cells"),
            Verb::Change => ("PATCH", &*path),
            Verb::Replace => ("PUT", &*path),
            Verb::Delete => ("DELETE", &*path),
        };
        let instance = self.instance();
        let (answer, called, returned) = self.ask(instance, method, path, body.as_ref());
        let told = answer.map(|answer| match answer.body.is_empty() {
            true => (answer.status.into(), Json::Null),
            false => (answer.status.into(), answer.json()),
        });
        self.note(plan, told, called, returned);
    }

    /// What is sent for it.
    fn body(&self, plan: &Plan) -> Option<Json> {
        let version = plan.leaves?;
        let mut body = json!({
            "value": version.value, "shelf": version.shelf, "rank": version.rank,
        });
        match plan.verb {
            Verb::Create => body["id"] = self.world.ids[plan.document].clone().into(),
            Verb::Change => body = json!({ "$set": body, "$inc": { "raised": 1 } }),
            Verb::Replace | Verb::Delete => {}
        }
        Some(body)
    }

    /// Several documents at once, each for itself.
    fn bulk(&mut self, instance: usize) {
        let mut documents: Vec<usize> = (0..3).map(|_| self.document()).collect();
        documents.sort_unstable();
        documents.dedup();
        let plans: Vec<Plan> = documents
            .into_iter()
            .map(|document| {
                let verb = self.dice.of(&[Verb::Change, Verb::Change, Verb::Replace]);
                self.plan(document, verb)
            })
            .collect();
        let operation = |plan: &Plan| {
            let (id, body) = (&self.world.ids[plan.document], self.body(plan));
            match plan.verb {
                Verb::Change => json!({ "update": { "id": id, "change": body } }),
                _ => json!({ "replace": { "id": id, "document": body } }),
            }
        };
        let operations = Json::Array(plans.iter().map(operation).collect());
        let (answer, called, returned) =
            self.ask(instance, "POST", "/cells/bulk", Some(&operations));
        for (place, plan) in plans.iter().enumerate() {
            let told = answer.as_ref().map(|answer| {
                let body = answer.json();
                match answer.status {
                    200 => {
                        let result = &body["results"][place];
                        let status = result["status"].as_u64().unwrap();
                        match result.get("document") {
                            Some(document) => (status, document.clone()),
                            None => (status, result["error"].clone()),
                        }
                    }
                    status => (status.into(), body),
                }
            });
            self.note(plan, told, called, returned);
        }
    }

    /// Notes what the writer was told: a status, and a document or a problem.
    fn note(&mut self, plan: &Plan, told: Option<(u64, Json)>, called: Moment, returned: Moment) {
        self.record.writes += 1;
        let outcome = match &told {
            None => Outcome::Unknown,
            Some((200 | 201 | 204, _)) => Outcome::Done,
            Some((404, _)) if plan.verb != Verb::Create => {
                self.sees(plan.document, None, called, returned);
                Outcome::Refused
            }
            Some((409, _)) if plan.verb == Verb::Create => Outcome::Refused,
            Some((503, problem)) if problem["code"] == "outcome_unknown" => {
                self.record.unknown += 1;
                Outcome::Unknown
            }
            Some((status, problem)) => {
                self.is_refusal(*status, problem);
                Outcome::Refused
            }
        };
        self.record.stories[plan.document].writes.push(Write {
            leaves: plan.leaves,
            outcome,
            called,
            returned,
        });
        if outcome == Outcome::Done {
            match (plan.leaves, told) {
                (Some(_), Some((_, document))) => {
                    self.sees(plan.document, Some(&document), called, returned);
                }
                _ => self.deleted = Some(plan.document),
            }
        }
    }
}

fn version(body: &Json) -> Version {
    let number = |name: &str| body[name].as_u64().unwrap();
    Version {
        value: number("value"),
        shelf: number("shelf"),
        rank: number("rank"),
    }
}
