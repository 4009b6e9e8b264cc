//! The module: its name, its section of `nubo.yaml`, and what it brings.

use std::sync::Arc;

use nubo::core::module::{Context, Contribution, Module, Section, SetupError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{greeting, house_rules::HouseRules};

/// Greets people, and keeps words out of posts.
///
/// This type is the section `manners` of `nubo.yaml`: what serde reads, what `nubo check` checks,
/// and, with these comments, what editors show. [`Default`] says what holds where nothing is
/// written; every key may be left out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Word that greets.
    pub greeting: String,
    /// Words that no post may contain, whatever their case.
    pub banned_words: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            greeting: "Hello".into(),
            banned_words: Vec::new(),
        }
    }
}

/// The module `manners`.
pub struct Manners;

impl Module for Manners {
    /// Also the name of the section, and of the switch `modules: { manners: false }`.
    fn name(&self) -> &'static str {
        "manners"
    }

    fn section(&self) -> Section {
        Section::of::<Settings>()
    }

    /// Takes the settings and says what the module contributes. No I/O here: this runs for
    /// `nubo openapi` too. A module that needs connections opens them in `Module::start`.
    ///
    /// The context also has the store, the clock and randomness; keep clones of what the routes
    /// need.
    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError> {
        let settings: Settings = context.settings()?;
        let rules = HouseRules::new(&context.catalog, &settings.banned_words)?;
        Ok(Contribution {
            routes: vec![greeting::route(settings.greeting)],
            openapi: vec![greeting::fragment()],
            hooks: vec![Arc::new(rules)],
            ..Contribution::default()
        })
    }
}
