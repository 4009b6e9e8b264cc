//! The configuration: from files, environment and flags to checked, typed settings.
//!
//! [`load`] is the way in. It reads everything before it judges anything, so that one run tells
//! every mistake there is, each with file, line and column. It opens no connection and changes
//! nothing.
//!
//! Where to start reading: [`settings`] for what can be set, [`layers`] for which source overrides
//! which, [`collections`] for the collections. [`structure`] does the checking and [`yaml`] is the
//! only file that knows the YAML parser.

pub mod collections;
mod environment;
mod layers;
mod pointer;
mod position;
pub mod problem;
pub mod schema;
pub mod settings;
mod shape;
mod structure;
pub mod typed;
pub mod values;
pub mod yaml;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use nubo_core::{
    declare::CollectionDeclaration,
    module::{Section, Subject},
    nearest,
    schema::Catalog,
};
use serde_json::Value as Json;

use self::{
    collections::{Collections, Folder},
    layers::{Layer, Layers, Origin},
    problem::SourceFile,
};
pub use self::{
    environment::Variables,
    position::{Position, Positions},
    problem::{Place, Problem, Severity},
    settings::{CacheDriver, LogLevel, RecentDriver, Settings, TierSettings, TruthDriver},
};

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "nubo.yaml";

/// Where a configuration is looked for.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The configuration file. Without one, `nubo.yaml` in the working directory if there is one,
    /// else the built-in settings.
    pub file: Option<PathBuf>,
    /// The profile: `nubo.<profile>.yaml` is put over `nubo.yaml`. Overrides `NUBO_PROFILE`.
    pub profile: Option<String>,
    /// Settings from the command line, the strongest layer.
    pub flags: Vec<Flag>,
    /// The environment. What `.env` beside the configuration file says is added to it.
    pub environment: Variables,
}

impl LoadOptions {
    /// With the environment of this process.
    pub fn of_process() -> Self {
        Self {
            environment: environment::of_process(),
            ..Self::default()
        }
    }
}

/// A setting from the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// How the flag is written, for example `--listen`.
    pub name: &'static str,
    /// The setting it makes, for example `["server", "listen"]`.
    pub path: &'static [&'static str],
    /// Its value.
    pub value: Json,
}

/// A configuration without mistakes.
pub struct Loaded {
    /// The settings that belong to no module, paths resolved.
    pub settings: Settings,
    /// Each module's section by the module's name, checked, defaults filled in.
    pub sections: BTreeMap<&'static str, Json>,
    /// The collections.
    pub catalog: Catalog,
    /// The collections as they were declared, in the catalog's order.
    pub declarations: Vec<CollectionDeclaration>,
    /// What is worth a word and keeps nothing from working.
    pub warnings: Vec<Problem>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// All settings together, secrets replaced.
    shown: Json,
}

impl Loaded {
    /// Whether a module is switched on.
    pub fn is_on(&self, module: &str) -> bool {
        self.settings.modules.get(module).copied().unwrap_or(true)
    }

    /// All settings but the collections, secrets replaced: fit to be printed.
    pub fn shown(&self) -> &Json {
        &self.shown
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("files", &self.files)
            .field("settings", &self.shown)
            .finish_non_exhaustive()
    }
}

/// Loads a configuration for a server with these modules.
///
/// # Errors
/// Everything that is wrong, and the warnings with it, sorted by file and line.
pub fn load(
    options: &LoadOptions,
    sections: &[(&'static str, Section)],
) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let outcome = Loading::begin(options, sections, &mut problems).finish(&mut problems);
    problem::sort(&mut problems);
    match outcome {
        Some(loaded) if !problems.iter().any(Problem::is_error) => Ok(Loaded {
            warnings: problems,
            ..loaded
        }),
        _ => Err(problems),
    }
}

/// Everything that was read, before it is judged as a whole.
struct Loading<'a> {
    sections: &'a [(&'static str, Section)],
    /// Schema of all settings but `collections`, which only files hold.
    schema: Json,
    /// Folder of the configuration file.
    folder: PathBuf,
    files: Vec<SourceFile>,
    layers: Layers,
}

impl<'a> Loading<'a> {
    fn begin(
        options: &LoadOptions,
        sections: &'a [(&'static str, Section)],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut schema = schema::nubo(sections);
        pointer::remove(&mut schema, ["/properties/collections"]);
        let file = options.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();

        let mut variables = options.environment.clone();
        environment::add_file(&folder.join(".env"), &mut variables, problems);
        let profile = options
            .profile
            .clone()
            .or_else(|| variables.get(environment::PROFILE).cloned())
            .filter(|profile| !profile.is_empty());

        let mut loading = Self {
            sections,
            schema,
            folder,
            files: Vec::new(),
            layers: Layers::default(),
        };
        for (name, _) in sections {
            if Settings::KEYS.contains(name) {
                let message = "the name is taken by a section of the server itself";
                problems.push(Problem::error(
                    Place::Named(format!("module `{name}`")),
                    message,
                ));
            }
        }
        loading.push(Layer::defaults(defaults(sections)), problems);
        if options.file.is_some() || file.exists() {
            loading.read_file(&file, problems);
        }
        if let Some(profile) = profile {
            loading.read_profile(&file, &profile, problems);
        }
        loading.apply_environment(&variables, problems);
        for flag in &options.flags {
            let layer = Layer {
                origin: Origin::Named(flag.name.to_owned()),
                settings: nested(flag.path, flag.value.clone()),
            };
            loading.push(layer, problems);
        }
        loading
    }

    fn push(&mut self, mut layer: Layer, problems: &mut Vec<Problem>) {
        layer.check(&self.schema, problems);
        self.layers.push(layer);
    }

    fn read_file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        match SourceFile::read(path, problems) {
            Ok(file) => {
                let mut layer = Layer::file(file.clone());
                pointer::remove(&mut layer.settings, ["/collections"]);
                self.push(layer, problems);
                self.files.push(file);
            }
            Err(problem) => problems.push(problem),
        }
    }

    fn read_profile(&mut self, file: &Path, profile: &str, problems: &mut Vec<Problem>) {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        let named = || Place::Named(format!("profile `{profile}`"));
        if !profile.chars().all(plain) {
            let message = "the name of a profile consists of letters, digits, `-` and `_`";
            return problems.push(Problem::error(named(), message));
        }
        let path = file.with_extension(format!("{profile}.yaml"));
        if path.exists() {
            self.read_file(&path, problems);
        } else {
            let message = format!("the file {} does not exist", path.display());
            let others = profiles(file);
            let nearest = nearest(profile, others.iter().map(String::as_str)).map(str::to_owned);
            problems.push(Problem::error(named(), message).suggesting(nearest));
        }
    }

    fn apply_environment(&mut self, variables: &Variables, problems: &mut Vec<Problem>) {
        for assignment in environment::assignments(&self.schema, variables, problems) {
            self.push(Layer::variable(assignment), problems);
        }
        let listen = self.settings().map(|settings| settings.server.listen);
        match listen
            .ok()
            .and_then(|listen| environment::port(variables, listen))
        {
            Some(Ok(assignment)) => self.push(Layer::variable(assignment), problems),
            Some(Err(problem)) => problems.push(problem),
            None => {}
        }
    }

    /// The settings so far that belong to no module.
    fn settings(&self) -> Result<Settings, String> {
        let mut merged = self.layers.merged()?;
        if let Some(entries) = merged.as_object_mut() {
            for (name, _) in self.sections {
                entries.shift_remove(*name);
            }
        }
        serde_json::from_value(merged).map_err(|error| error.to_string())
    }

    fn finish(self, problems: &mut Vec<Problem>) -> Option<Loaded> {
        let unforeseen = |message| Problem::error(Place::Named("configuration".into()), message);
        let mut settings = self
            .settings()
            .map_err(|message| problems.push(unforeseen(message)))
            .ok()?;
        let merged = self
            .layers
            .merged()
            .map_err(|message| problems.push(unforeseen(message)))
            .ok()?;
        problems.extend(self.layers.check_merged(&self.schema, &merged));

        settings.data = self.layers.path("/data", &settings.data, &self.folder);
        settings.collections_dir =
            self.layers
                .path("/collections_dir", &settings.collections_dir, &self.folder);
        let migrations = &mut settings.tiers.truth.migrations;
        *migrations = self
            .layers
            .path("/tiers/truth/migrations", migrations, &self.folder);
        if let Some(root) = &mut settings.tiers.truth.tls.root {
            *root = self
                .layers
                .path("/tiers/truth/tls/root", root, &self.folder);
        }
        let folder = self.read_collections(&settings.collections_dir, problems);
        let collections = collections::compile(&folder, &self.files, problems)?;

        let sections: BTreeMap<&'static str, Json> = self
            .sections
            .iter()
            .map(|(name, section)| (*name, self.section(name, section, &merged)))
            .collect();
        self.examine(&settings, &sections, &collections, problems);
        self.examine_tiers(&settings.tiers, problems);
        let files = self.files.iter().chain(&folder.files);
        Some(Loaded {
            settings,
            sections,
            catalog: collections.catalog,
            declarations: collections.declarations,
            warnings: Vec::new(),
            files: files.map(|file| file.path.clone()).collect(),
            shown: schema::redacted(&self.schema, &merged),
        })
    }

    /// What the modules that are switched on find in their settings.
    fn examine(
        &self,
        settings: &Settings,
        values: &BTreeMap<&'static str, Json>,
        collections: &Collections,
        problems: &mut Vec<Problem>,
    ) {
        for (name, section) in self.sections {
            let off = settings.modules.get(*name) == Some(&false);
            let Some(value) = values.get(name).filter(|_| !off) else {
                continue;
            };
            for remark in (section.examine)(value, &collections.catalog) {
                let place = match &remark.about {
                    Subject::Setting(pointer) => {
                        let pointer = format!("/{name}{pointer}");
                        self.layers.written(&pointer).unwrap_or_else(|| {
                            Place::Named(pointer.trim_start_matches('/').replace('/', "."))
                        })
                    }
                    Subject::Declaration { collection, text } => {
                        collections.place_of(collection, text)
                    }
                };
                let problem = match remark.is_error {
                    true => Problem::error(place, remark.message),
                    false => Problem::warning(place, remark.message),
                };
                problems.push(problem.suggesting(remark.suggestion));
            }
        }
    }

    /// What a schema cannot say of the tiers' settings.
    fn examine_tiers(&self, tiers: &TierSettings, problems: &mut Vec<Problem>) {
        let truth = &tiers.truth;
        let place = |setting: &str| {
            let pointer = format!("/tiers/truth/{setting}");
            let named = || Place::Named(pointer.trim_start_matches('/').replace('/', "."));
            self.layers.written(&pointer).unwrap_or_else(named)
        };
        match (truth.driver, &truth.url) {
            (TruthDriver::Postgres, None) => problems.push(Problem::error(
                place("driver"),
                "PostgreSQL needs an address: set DATABASE_URL in the environment, or `url` here",
            )),
            (TruthDriver::Postgres, Some(url)) if !nubo_truth::is_postgres_address(url) => {
                problems.push(Problem::error(
                    place("url"),
                    "must be an address such as postgres://user:password@host:5432/database",
                ));
            }
            (TruthDriver::Sqlite, Some(_)) => problems.push(Problem::warning(
                place("url"),
                "is not used: the truth's driver is `sqlite`",
            )),
            _ => {}
        }
        if truth.driver == TruthDriver::Postgres && tiers.cache.driver == CacheDriver::Memory {
            let named = || Place::Named("tiers.cache.driver".to_owned());
            problems.push(Problem::warning(
                self.layers
                    .written("/tiers/cache/driver")
                    .unwrap_or_else(named),
                "is right only as long as no other server of Nubo works on the database",
            ));
        }
        let cache = |setting: &str| {
            let pointer = format!("/tiers/cache/{setting}");
            let named = || Place::Named(pointer.trim_start_matches('/').replace('/', "."));
            self.layers.written(&pointer).unwrap_or_else(named)
        };
        match (tiers.cache.driver, truth.driver) {
            (CacheDriver::Redis, TruthDriver::Sqlite) => problems.push(Problem::error(
                cache("driver"),
                "a cache in Redis needs PostgreSQL below it: a SQLite database belongs to one server",
            )),
            (CacheDriver::Redis, _) if tiers.cache.redis.url.is_none() => {
                problems.push(Problem::error(
                    cache("driver"),
                    "Redis needs an address: set REDIS_ADDR in the environment, or `redis.url` here",
                ));
            }
            (CacheDriver::Memory | CacheDriver::None, _) | (CacheDriver::Auto, TruthDriver::Sqlite)
                if tiers.cache.redis.url.is_some() =>
            {
                problems.push(Problem::warning(
                    cache("redis/url"),
                    "is not used: Redis does not hold the cache",
                ));
            }
            _ => {}
        }
        if let Some(url) = tiers.cache.redis.address()
            && !nubo_cache::is_redis_address(&url)
        {
            problems.push(Problem::error(
                cache("redis/url"),
                "must be an address such as redis://:password@host:6379/0 or host:6379, or several of a \
                 cluster: host:6379,other:6379",
            ));
        }
        if tiers.recent.resolved() == RecentDriver::Mongodb {
            let pointer = "/tiers/recent/driver";
            let named = || Place::Named("tiers.recent.driver".to_owned());
            let place = || self.layers.written(pointer).unwrap_or_else(named);
            if truth.driver == TruthDriver::Sqlite {
                problems.push(Problem::error(
                    place(),
                    "a recent tier in MongoDB needs PostgreSQL below it (tiers.truth.driver)",
                ));
            } else if tiers.cache_driver() == CacheDriver::None {
                problems.push(Problem::error(
                    place(),
                    "a recent tier needs a cache, which knows what is on its way there: Redis, or \
                     `memory` where there is one server (tiers.cache.driver)",
                ));
            }
        }
        for (setting, severity, message) in tiers.recent.examine() {
            let pointer = format!("/tiers/recent/{setting}");
            let named = || Place::Named(pointer.trim_start_matches('/').replace('/', "."));
            let place = self.layers.written(&pointer).unwrap_or_else(named);
            problems.push(match severity {
                Severity::Error => Problem::error(place, message),
                Severity::Warning => Problem::warning(place, message),
            });
        }
        if truth.pool.min > truth.pool.max {
            let message = "must not be more than `max`";
            problems.push(Problem::error(place("pool/min"), message));
        }
    }

    /// A module's settings. Those whose schema says that they are paths are resolved like all others.
    fn section(&self, name: &str, section: &Section, merged: &Json) -> Json {
        let mut settings = merged.get(name).cloned().unwrap_or_default();
        let Some(values) = settings.as_object_mut() else {
            return settings;
        };
        for (key, value) in values {
            let schema = section
                .schema
                .get("properties")
                .and_then(|all| all.get(key));
            let is_path = schema.is_some_and(|schema| schema["format"] == "path");
            if let (true, Some(path)) = (is_path, value.as_str()) {
                let pointer = format!("/{name}/{key}");
                let path = self.layers.path(&pointer, Path::new(path), &self.folder);
                *value = path.to_string_lossy().into();
            }
        }
        settings
    }

    /// The collection files. A folder that nobody has named need not be there.
    fn read_collections(&self, path: &Path, problems: &mut Vec<Problem>) -> Folder {
        let named = self.layers.written("/collections_dir");
        Folder::read(path, problems).unwrap_or_else(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            if named.is_some() || !missing {
                let place = named.unwrap_or_else(|| Place::Named(path.display().to_string()));
                let message = format!("the folder {} cannot be read: {error}", path.display());
                problems.push(Problem::error(place, message));
            }
            Folder::default()
        })
    }
}

/// The built-in layer: the settings' own defaults and those of the modules' sections.
fn defaults(sections: &[(&'static str, Section)]) -> Json {
    let mut defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    for (name, section) in sections {
        defaults[*name] = section.defaults.clone();
    }
    defaults
}

/// The setting under a path.
fn nested(path: &[&str], value: Json) -> Json {
    path.iter()
        .rev()
        .fold(value, |inner, key| serde_json::json!({ *key: inner }))
}

/// The profiles for which there is a file beside the configuration file.
fn profiles(file: &Path) -> Vec<String> {
    let stem = file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(&stem)?.strip_prefix('.')?;
            Some(rest.strip_suffix(".yaml")?.to_owned())
        })
        .collect()
}

#[cfg(test)]
#[path = "config/load_test.rs"]
mod tests;
