//! What a module is: one type that brings routes, hooks and tasks, and a section of `nubo.yaml`.
//!
//! `src/` calls a module in this order: [`Module::section`] (to read the configuration),
//! [`Module::setup`] (no I/O yet; also runs for `nubo openapi` and `nubo check`),
//! [`Module::start`] (connections may be opened) and, at the end, [`Module::stop`].

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use poem::{Response, endpoint::BoxEndpoint};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{
    bus::Bus,
    clock::{Clock, Random},
    hook::Hook,
    observe::Observer,
    schema::Catalog,
    sessions::Sessions,
    store::Store,
    throttle::TokenBuckets,
};

/// A module of the server. Third parties implement it and pass it to `Nubo::new().module(…)`.
#[async_trait]
pub trait Module: Send + Sync + 'static {
    /// Name of the module and of its section in `nubo.yaml`: a lower-case word.
    fn name(&self) -> &'static str;

    /// The module's section of `nubo.yaml`. Without one, the module takes no settings.
    fn section(&self) -> Section {
        Section::of::<NoSettings>()
    }

    /// Takes its settings and says what it contributes. Does no I/O.
    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError>;

    /// Called once, before the server listens.
    async fn start(&self) -> Result<(), SetupError> {
        Ok(())
    }

    /// Called once, when the server has been told to stop: no new connections come, requests under
    /// way are still answered. For what would otherwise go on for ever.
    async fn drain(&self) {}

    /// Called once, after the last request has been answered.
    async fn stop(&self) {}
}

/// What a module is given at set-up.
#[derive(Clone)]
pub struct Context {
    /// The module's own section, checked against its schema, defaults filled in.
    pub settings: Json,
    /// Folder for what the server keeps. It exists once modules are started.
    pub data: PathBuf,
    /// The collections.
    pub catalog: Arc<Catalog>,
    /// The store. Answers once the server has started.
    pub store: Arc<dyn Store>,
    /// What is told to those who listen. Every commit is published by itself.
    pub bus: Arc<dyn Bus>,
    /// Who is behind a token. Answers once the server has started.
    pub sessions: Arc<dyn Sessions>,
    /// What is counted to be limited, by all instances together.
    pub buckets: Arc<dyn TokenBuckets>,
    /// Whether everything that is in the truth is written through this process. Where it is not,
    /// what is kept in memory may be out of date, whatever observers have heard.
    pub is_sole_writer: bool,
    /// Origins whose pages may call this server, beside its own.
    pub origins: Vec<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The assembled OpenAPI document; set when every module has been set up.
    pub document: Arc<OnceLock<String>>,
    /// What every document about the API says of it.
    pub about: About,
}

/// The API as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub title: String,
    /// Its version.
    pub version: String,
    /// What stands before every path: empty, or `/` and a word.
    pub base_path: String,
}

impl Context {
    /// The module's settings as its own type.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, SetupError> {
        serde_json::from_value(self.settings.clone())
            .map_err(|error| SetupError::new(format!("settings: {error}")))
    }
}

/// What a module brings to the server.
#[derive(Default)]
pub struct Contribution {
    /// Routes, each under the server's base path.
    pub routes: Vec<Route>,
    /// Parts of the OpenAPI document that belong to the routes: `paths`, `components`, `tags`. A tag
    /// may name its group in `x-domain`. The schema `Problem` and a response for each error
    /// (`#/components/responses/BadRequest`, `NotFound`, `ServiceUnavailable`, …) are there already.
    pub openapi: Vec<Json>,
    /// The AsyncAPI document, as text. One module at most brings it.
    pub asyncapi: Option<Arc<str>>,
    /// Hooks on the store.
    pub hooks: Vec<Arc<dyn Hook>>,
    /// Who hears of every commit.
    pub observers: Vec<Arc<dyn Observer>>,
    /// What knows who is behind a token. One module at most brings it.
    pub sessions: Option<Arc<dyn Sessions>>,
}

/// One path and what answers there. The endpoint answers every method, with 405 where it has none.
pub struct Route {
    /// Path in poem's syntax, for example `/posts/:id`.
    pub path: String,
    /// What answers.
    pub endpoint: BoxEndpoint<'static, Response>,
}

/// The section of `nubo.yaml` that belongs to a module: its JSON Schema and its defaults.
pub struct Section {
    /// JSON Schema, made by schemars; its descriptions are the users' documentation.
    pub schema: schemars::Schema,
    /// The settings that hold where nothing is said.
    pub defaults: Json,
    /// What the settings, defaults filled in, and the collections say together.
    pub examine: fn(&Json, &Catalog) -> Vec<Remark>,
}

/// What a remark is about, and so where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A setting: JSON Pointer into the section.
    Setting(String),
    /// A text in the declaration of a collection, such as `$auth.nmae`, wherever it stands.
    Declaration { collection: String, text: String },
}

/// What a module finds in its settings beyond their schema, or in collections by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub about: Subject,
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
    /// Whether the server must not start like that.
    pub is_error: bool,
}

impl Section {
    /// The section that `T` describes.
    pub fn of<T: JsonSchema + Default + Serialize>() -> Self {
        Self {
            schema: schemars::schema_for!(T),
            defaults: serde_json::to_value(T::default()).unwrap_or_default(),
            examine: |_, _| Vec::new(),
        }
    }

    /// The same section, looked over by a function.
    #[must_use]
    pub fn examined_by(mut self, examine: fn(&Json, &Catalog) -> Vec<Remark>) -> Self {
        self.examine = examine;
        self
    }
}

/// Settings of a module that has none.
#[derive(Debug, Default, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Why a module could not be set up or started. Shown to the person who starts the server.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SetupError {
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SetupError {
    /// An error in words.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// An error with its cause.
    pub fn caused(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            message: message.into(),
            source: Some(source.into()),
        }
    }
}
