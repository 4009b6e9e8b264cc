//! A server's life: put together, started, serving, stopped.
//!
//! [`Assembly`] is everything that needs no I/O: settings, catalog, modules and their routes, the
//! OpenAPI document. [`Assembly::open`] opens the store, which is all that `nubo import` needs;
//! [`serve`] listens as well.

mod bus;
mod cache;
mod count;
mod data;
mod http;
mod identify;
mod listen;
mod recent;
mod routes;
mod sessions;
mod truth;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use nubo_auth::{Accounts, Auth};
use nubo_cache::BucketWatch;
use nubo_core::{
    alone::Alone,
    clock::{Clock, Random},
    module::{About, Context, Contribution, Module, Section, SetupError},
    observe::Observer,
    schema::Catalog,
    store::Store,
    truth::Truth,
};
use nubo_crud::Crud;
use nubo_hub::WebSocketHub;
use nubo_openapi::OpenApi;
use nubo_ops::{Drain, Edge, EdgeOptions, Ops};
use nubo_static::StaticFiles;
use nubo_sync::{Applying, Behind, BehindSettings, Publisher, Retention, Tiers};
use poem::Endpoint;
use serde_json::{Value as Json, json};

pub use cache::{audit, pending_lists};
pub use listen::serve;
pub use recent::Both;
pub use truth::{coordination, hold, index_rebuild, migrations, of as truth};

use bus::Line;
use cache::Cached;
use count::Counted;
use recent::{Around, LateAlone, RecentTasks, RecentTier};
use sessions::LateSessions;

use crate::{
    config::Loaded,
    control::Administration,
    system::{SystemClock, SystemRandom},
};

/// How often expired documents are looked for.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);

/// The modules that ship.
pub struct Shipped {
    auth: Auth,
    drain: Drain,
    others: Vec<Box<dyn Module>>,
}

impl Default for Shipped {
    fn default() -> Self {
        let drain = Drain::new();
        Self {
            auth: Auth::new(),
            drain: drain.clone(),
            others: vec![
                Box::new(Crud),
                Box::new(WebSocketHub::new()),
                Box::new(Ops::new(drain)),
                Box::new(OpenApi),
                Box::new(StaticFiles),
            ],
        }
    }
}

/// All modules of a server, in their order.
pub struct Modules {
    shipped: Shipped,
    added: Vec<Box<dyn Module>>,
}

impl Modules {
    /// The modules that ship, and those that were added.
    pub fn new(shipped: Shipped, added: Vec<Box<dyn Module>>) -> Self {
        Self { shipped, added }
    }

    /// Each module's section of `nubo.yaml`.
    pub fn sections(&self) -> Vec<(&'static str, Section)> {
        let auth: &dyn Module = &self.shipped.auth;
        let others = self.shipped.others.iter().chain(&self.added);
        std::iter::once(auth)
            .chain(others.map(|module| &**module))
            .map(|module| (module.name(), module.section()))
            .collect()
    }
}

/// A server that is put together and has not done any I/O.
pub struct Assembly {
    loaded: Loaded,
    modules: Vec<Box<dyn Module>>,
    contributions: Vec<Contribution>,
    tiers: Arc<Tiers>,
    cached: Option<Cached>,
    behind: Option<Arc<Behind>>,
    recent: Option<RecentTier>,
    truth: Arc<dyn Truth>,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    line: Line,
    sessions: Arc<LateSessions>,
    counted: Counted,
    document: Arc<OnceLock<String>>,
    asyncapi: Option<Arc<str>>,
    drain: Drain,
    accounts: Option<Arc<Accounts>>,
}

impl Assembly {
    /// Sets every module up that is switched on.
    ///
    /// # Errors
    /// When a module refuses its settings, or two modules claim the same.
    pub fn new(mut loaded: Loaded, modules: Modules) -> Result<Self, SetupError> {
        let catalog = Arc::new(std::mem::take(&mut loaded.catalog));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let alone = recent::is_wanted(&loaded).then(Arc::<LateAlone>::default);
        let elsewhere = alone.clone().map(|alone| alone as Arc<dyn Alone>);
        let truth = truth::of(&loaded, &catalog, &clock, &random, elsewhere)?;
        let Modules { shipped, added } = modules;
        let line = Line::new(&loaded, &catalog, &clock, &random)?;
        let bus = line.bus();
        let cached = Cached::new(&loaded, &catalog, &clock, &random)?;
        let around = Around {
            catalog: &catalog,
            truth: &truth,
            lists: cached.as_ref().map(|cached| cached.lists.clone()),
            clock: &clock,
            random: &random,
        };
        let recent = RecentTier::new(&loaded, around)?;
        if let (Some(alone), Some(recent)) = (&alone, &recent) {
            alone.set(&recent.store);
        }
        let mut tiers = Tiers::new(
            catalog.clone(),
            truth.clone(),
            bus.clone(),
            shipped.auth.passwords(),
            clock.clone(),
            random.clone(),
        );
        if let Some(cached) = &cached {
            tiers = tiers.with_cache(cached.cache.clone());
        }
        if let Some(recent) = &recent {
            tiers = tiers.with_recent(recent.store.clone());
        }
        let queue = &loaded.settings.tiers.truth.queue;
        let settings = BehindSettings {
            is_shared: !truth::is_ours_alone(&loaded),
            most: queue.most.into(),
            patience: queue.patience.0,
        };
        let behind = Behind::new(catalog.clone(), truth.clone(), clock.clone(), settings);
        if let Some(behind) = behind.as_ref().filter(|behind| behind.is_used()) {
            tiers = tiers.with_behind(behind.clone());
        }
        let counted = Counted::new(&loaded, &clock)?;
        let mut auth = shipped.auth;
        let mut assembly = Self {
            loaded,
            modules: Vec::new(),
            contributions: Vec::new(),
            tiers: Arc::new(tiers),
            cached,
            behind,
            recent,
            truth,
            catalog,
            clock,
            random,
            line,
            sessions: Arc::default(),
            counted,
            document: Arc::default(),
            asyncapi: None,
            drain: shipped.drain,
            accounts: None,
        };
        assembly.set_up(&mut auth)?;
        assembly.accounts = auth.accounts();
        assembly.modules.push(Box::new(auth));
        for mut module in shipped.others.into_iter().chain(added) {
            if assembly.set_up(&mut *module)? {
                assembly.modules.push(module);
            }
        }
        assembly.describe()?;
        let hooks = assembly
            .contributions
            .iter()
            .flat_map(|c| c.hooks.iter().cloned());
        assembly.tiers.set_hooks(hooks.collect())?;
        Ok(assembly)
    }

    /// Sets a module up, unless it is switched off.
    fn set_up(&mut self, module: &mut dyn Module) -> Result<bool, SetupError> {
        let name = module.name();
        // Passwords are hashed whoever logs in, so the module is never missing altogether.
        if !self.loaded.is_on(name) && name != "auth" {
            tracing::debug!(module = name, "switched off");
            return Ok(false);
        }
        let context = Context {
            settings: self.loaded.sections.get(name).cloned().unwrap_or_default(),
            data: self.loaded.settings.data.clone(),
            catalog: self.catalog.clone(),
            store: self.tiers.clone(),
            bus: self.line.bus(),
            sessions: self.sessions.clone(),
            buckets: self.counted.buckets(),
            is_sole_writer: truth::is_ours_alone(&self.loaded),
            origins: self.loaded.settings.server.cors.origins.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            document: self.document.clone(),
            about: self.about(),
        };
        let contribution = module
            .setup(&context)
            .map_err(|error| SetupError::caused(format!("the module `{name}`"), error))?;
        if let Some(asyncapi) = &contribution.asyncapi
            && self.asyncapi.replace(asyncapi.clone()).is_some()
        {
            return Err(SetupError::new("two modules bring an AsyncAPI document"));
        }
        if let Some(sessions) = &contribution.sessions {
            self.sessions.set(sessions.clone())?;
        }
        self.contributions.push(contribution);
        Ok(true)
    }

    /// What the documents about the API say of it: the section `openapi` has its name.
    fn about(&self) -> About {
        let text = |key: &str| {
            let section = self.loaded.sections.get("openapi");
            let text = section.and_then(|section| section[key].as_str());
            text.unwrap_or_default().to_owned()
        };
        About {
            title: text("title"),
            version: text("version"),
            base_path: self.loaded.settings.server.base_path.0.clone(),
        }
    }

    /// Assembles the OpenAPI document from what the modules say of their routes.
    fn describe(&mut self) -> Result<(), SetupError> {
        let fragments: Vec<Json> = self
            .contributions
            .iter_mut()
            .flat_map(|contribution| std::mem::take(&mut contribution.openapi))
            .collect();
        let info = self.loaded.sections.get("openapi").cloned();
        let base_path = &self.loaded.settings.server.base_path.0;
        let document =
            nubo_openapi::assemble(&info.unwrap_or_else(|| json!({})), base_path, fragments)?;
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| SetupError::caused("the OpenAPI document", error))?;
        self.document
            .set(text + "\n")
            .map_err(|_| SetupError::new("the OpenAPI document is set twice"))
    }

    /// What wraps every request: ids, problem documents, limits, compression, the access log.
    fn edge<E: Endpoint>(&self, routes: E) -> Result<Edge<E>, SetupError> {
        let server = &self.loaded.settings.server;
        let section = |name: &str| self.loaded.sections.get(name).cloned().unwrap_or_default();
        let settings = serde_json::from_value(section("ops"))
            .map_err(|error| SetupError::caused("the settings of `ops`", error))?;
        // The routes for many documents take larger bodies than the others.
        let bulk_limit = section("crud")["bulk_limit"].as_u64().unwrap_or_default();
        let paths = self
            .catalog
            .names()
            .map(|name| format!("{}/{name}", server.base_path.0));
        nubo_ops::edge(
            routes,
            EdgeOptions {
                settings,
                body_limit: server.body_limit.0.max(bulk_limit),
                compression: server.compression,
                cors_origins: server.cors.origins.clone(),
                paths: paths.collect(),
                drain: self.drain.clone(),
                clock: self.clock.clone(),
                random: self.random.clone(),
            },
        )
    }

    /// The OpenAPI document.
    pub fn document(&self) -> &str {
        self.document.get().map_or("", String::as_str)
    }

    /// The AsyncAPI document, where the hub is switched on.
    pub fn asyncapi(&self) -> Option<&str> {
        self.asyncapi.as_deref()
    }

    /// The settings that belong to no module.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The accounts, where the configuration has any.
    pub fn accounts(&self) -> Option<Arc<Accounts>> {
        self.accounts.clone()
    }

    /// What orders from the command line are carried out with.
    pub fn administration(&self) -> Administration {
        Administration {
            accounts: self.accounts(),
            bus: self.line.bus(),
            cache: self.cached.as_ref().map(|cached| cached.cache.clone()),
            catalog: self.catalog.clone(),
            behind: self.behind.clone(),
        }
    }

    /// The collections.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Opens the store and starts the modules.
    ///
    /// # Errors
    /// When the data folder or the database cannot be used.
    pub async fn open(&self) -> Result<Open, SetupError> {
        let file = truth::file(&self.loaded);
        data::prepare(&self.loaded.settings.data, file.as_deref())?;
        let lock = data::Lock::take(&self.loaded.settings.data)?;
        let cached = self.cached.as_ref();
        let cache = cached.map(|cached| Arc::clone(&cached.cache) as Arc<dyn Observer>);
        let modules = self
            .contributions
            .iter()
            .flat_map(|contribution| contribution.observers.iter().cloned());
        let recent = self.recent.as_ref();
        let recent = recent.map(|recent| Arc::clone(&recent.store) as Arc<dyn Observer>);
        // Who claims a batch is known to the recent tier when the cache has announced it.
        let observers = cache.into_iter().chain(recent).chain(modules);
        // What others hear comes last: those who listen may ask the modules at once.
        let publisher: Arc<dyn Observer> =
            Arc::new(Publisher::new(self.catalog.clone(), self.line.bus()));
        let observers = observers.chain(std::iter::once(publisher));
        self.line.start();
        self.truth.start(observers.collect()).await?;
        let counting = self.counted.start().await;
        let watch = match cached {
            Some(cached) => Some(cached.start().await?),
            None => None,
        };
        let recent = match &self.recent {
            Some(recent) => Some(recent.start().await?),
            None => None,
        };
        for module in &self.modules {
            let name = module.name();
            module
                .start()
                .await
                .map_err(|error| SetupError::caused(format!("the module `{name}`"), error))?;
        }
        // What an earlier server has acknowledged is there before anybody can ask for it.
        let applying = match &self.behind {
            Some(behind) => Some(Applying::start(behind.clone()).await),
            None => None,
        };
        Ok(Open {
            store: self.tiers.clone(),
            retention: Retention::start(
                self.tiers.clone(),
                self.counted.buckets(),
                RETENTION_PERIOD,
            ),
            applying,
            counting,
            watch,
            recent,
            _lock: lock,
        })
    }

    /// Tells the modules that the server is about to stop.
    pub async fn drain(&self) {
        for module in self.modules.iter().rev() {
            module.drain().await;
        }
    }

    /// Stops the modules and closes the store: what was acknowledged is on disk.
    pub async fn close(&self, open: Open) {
        open.retention.stop().await;
        for module in self.modules.iter().rev() {
            module.stop().await;
        }
        if let Some(applying) = open.applying {
            applying.stop().await;
        }
        if let Some(counting) = open.counting {
            counting.stop().await;
        }
        if let Some(recent) = open.recent {
            recent.stop().await;
        }
        self.truth.stop().await;
        if let Some(recent) = &self.recent {
            recent.stop().await;
        }
        self.line.stop().await;
        if let Some(watch) = open.watch {
            watch.stop().await;
        }
    }
}

/// The store while it is open.
pub struct Open {
    /// What is read and written.
    pub store: Arc<dyn Store>,
    retention: Retention,
    applying: Option<Applying>,
    counting: Option<BucketWatch>,
    watch: Option<cache::Watch>,
    recent: Option<RecentTasks>,
    _lock: data::Lock,
}
