//! Two servers over one PostgreSQL and one Redis, each with links of its own to both.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use crate::{
    link::Link,
    mongodb,
    redis::{Redis, signal},
    server::{Answer, Client, Server, Site, truth::postgres::Database},
};

/// Nothing takes longer to become true, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a document is on its way to the recent tier that somebody has deleted who died then.
const LATE: Duration = Duration::from_secs(60);

/// The servers and what they share. What is dropped first stands first.
pub struct Scene {
    pub instances: [Instance; 2],
    pub database: Database,
    pub redis: Redis,
    /// What holds the recent tier, where there is one.
    pub mongo: Option<mongodb::Server>,
}

/// One of the servers: what it runs in, and what it reaches the others by.
pub struct Instance {
    pub site: Site,
    pub to_redis: Link,
    pub to_postgres: Link,
    pub to_mongo: Option<Link>,
    server: Option<Server>,
}

impl Scene {
    /// Two that run, with these collections.
    pub fn start(collections: &[(&str, &str)]) -> Self {
        Self::furnished(|site| {
            site.file("nubo.yaml", "crud: { explain: true }\n");
            for (name, text) in collections {
                site.collection(name, text);
            }
        })
    }

    /// Two that run, with a recent tier beside the cache.
    pub fn start_recent(collections: &[(&str, &str)]) -> Self {
        Self::start_leaving(collections, "1m")
    }

    /// The same, where documents leave the truth after this time that it does not keep.
    pub fn start_leaving(collections: &[(&str, &str)], after: &str) -> Self {
        Self::over(Some(mongodb::Server::start()), |site, mongo| {
            let mongo = mongo.unwrap();
            let settings = format!(
                "crud: {{ explain: true }}\n\
                 tiers:\n  recent:\n    leave_after: {after}\n    mongodb:\n      \
                 uri: mongodb://127.0.0.1:{}/?directConnection=true\n      \
                 server_selection_timeout: 1s\n      connect_timeout: 1s\n",
                mongo.port
            );
            site.file("nubo.yaml", &settings);
            for (name, text) in collections {
                site.collection(name, text);
            }
        })
    }

    /// Two that run, in folders that are furnished alike.
    pub fn furnished(furnish: impl Fn(&Site)) -> Self {
        Self::over(None, |site, _| furnish(site))
    }

    fn over(mongo: Option<mongodb::Server>, furnish: impl Fn(&Site, Option<&Link>)) -> Self {
        let database = Database::new();
        let redis = Redis::start();
        let instances = [0, 1].map(|_| {
            let to_redis = Link::start(format!("127.0.0.1:{}", redis.port));
            let (url, to_postgres) = link_to(&database.url);
            let site = Site::sharing(&url, &format!("127.0.0.1:{}", to_redis.port));
            let to_mongo = mongo.as_ref();
            let to_mongo = to_mongo.map(|mongo| Link::start(format!("127.0.0.1:{}", mongo.port())));
            furnish(&site, to_mongo.as_ref());
            Instance {
                server: Some(site.start()),
                site,
                to_redis,
                to_postgres,
                to_mongo,
            }
        });
        Self {
            instances,
            database,
            redis,
            mongo,
        }
    }

    /// A client of one of them.
    pub fn client(&self, instance: usize) -> Client {
        self.instances[instance].server().client()
    }

    /// How many instances the truth knows of.
    pub fn known(&self) -> String {
        self.database.sql("SELECT count(*) FROM nubo.instances")
    }

    /// Whether the gate is open, as the truth says.
    pub fn is_open(&self) -> bool {
        self.database.sql("SELECT state FROM nubo.gate") == "open"
    }

    /// Whether the gate is open for one instance alone.
    pub fn is_owned(&self) -> bool {
        self.database.sql("SELECT owner IS NOT NULL FROM nubo.gate") == "t"
    }

    /// Waits until both answer from the cache.
    #[track_caller]
    pub fn wait_cached(&self, path: &str) {
        self.wait_from(path, "cache");
    }

    /// Waits until both answer from a tier.
    #[track_caller]
    pub fn wait_from(&self, path: &str, tier: &str) {
        for instance in 0..2 {
            from_tier(&self.client(instance), path, tier);
        }
    }

    /// The same of the recent tier after an instance may have died: what that had deleted and not brought
    /// is on its way for [`LATE`], as the documentation says.
    #[track_caller]
    pub fn wait_recent_after_deaths(&self, path: &str) {
        for instance in 0..2 {
            let client = self.client(instance);
            from_tier_within(&client, path, "recent", LATE + PATIENCE);
        }
    }
}

impl Instance {
    /// Has the recent tier have everything that its windows reach, as soon as it is in use.
    #[track_caller]
    pub fn backfill(&self) {
        wait("the recent tier is filled", || {
            let filled = self.site.command(&["recent", "backfill"]).output();
            filled.unwrap().status.success()
        });
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Starts it; it must not run.
    pub fn start(&mut self) {
        assert!(self.server.is_none());
        self.server = Some(self.site.start());
    }

    /// Stops it in order.
    #[track_caller]
    pub fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    /// Stops it in the middle of whatever it does.
    pub fn freeze(&self) {
        signal(self.server().id(), "-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.server().id(), "-CONT");
    }
}

/// Tells those who work beside a test to stop, however it comes about that it ends.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A link to the server of a database, and the database's address by way of it.
fn link_to(url: &str) -> (String, Link) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (place, name) = rest.split_once('/').unwrap();
    let (account, host) = place.rsplit_once('@').unwrap();
    let host = match host.contains(':') {
        true => host.to_owned(),
        false => format!("{host}:5432"),
    };
    let link = Link::start(host);
    let joint = if name.contains('?') { '&' } else { '?' };
    let port = link.port;
    let url = format!("{scheme}://{account}@127.0.0.1:{port}/{name}{joint}sslmode=disable");
    (url, link)
}

/// Waits until something is so.
#[track_caller]
pub fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !until() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether it came from a tier.
pub fn is_from(answer: &Answer, tier: &str) -> bool {
    answer.status == 200 && answer.header("x-nubo-tier") == Some(tier)
}

/// Waits until this comes from the cache, and gives it.
#[track_caller]
pub fn cached(client: &Client, path: &str) -> Json {
    from_tier(client, path, "cache")
}

/// Waits until this comes from a tier, and gives it.
#[track_caller]
pub fn from_tier(client: &Client, path: &str, tier: &str) -> Json {
    from_tier_within(client, path, tier, PATIENCE)
}

/// The same for so long.
#[track_caller]
fn from_tier_within(client: &Client, path: &str, tier: &str, patience: Duration) -> Json {
    let end = Instant::now() + patience;
    loop {
        let request = client.request("GET", path);
        // A server whose cache is being moved may refuse for a moment.
        let answer = request.query(&[("explain", "true")]).try_send();
        if let Ok(answer) = &answer
            && is_from(answer, tier)
        {
            return answer.json();
        }
        let why = answer.map(|answer| answer.header("x-nubo-explain").map(str::to_owned));
        assert!(
            Instant::now() < end,
            "{path} never comes from the {tier}: {why:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
