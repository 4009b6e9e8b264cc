//! The files of a folder, for browsers: a page and what it loads, next to the API that it uses.
//!
//! Off while `static.folder` is not set. It never lists a folder, never shows a hidden file, and
//! never leaves its folder, whatever a path or a symbolic link says: see [`find`]. [`serve`] answers
//! requests; [`Settings`] is the section of `nubo.yaml`.

#![forbid(unsafe_code)]

mod find;
mod serve;
mod settings;

use std::sync::Arc;

use nubo_core::module::{Context, Contribution, Module, Route, Section, SetupError};
use poem::{EndpointExt, http::HeaderValue};

pub use settings::Settings;

use serve::Files;

/// The module `static`.
#[derive(Debug, Default)]
pub struct StaticFiles;

impl Module for StaticFiles {
    fn name(&self) -> &'static str {
        "static"
    }

    fn section(&self) -> Section {
        Section::of::<Settings>()
    }

    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError> {
        let settings: Settings = context.settings()?;
        let prefix = settings.prefix()?;
        let cache = HeaderValue::try_from(settings.cache_control()?)
            .map_err(|error| SetupError::caused("static.cache", error))?;
        let Some(folder) = settings.folder.clone() else {
            return Ok(Contribution::default());
        };
        let files = Arc::new(Files {
            folder,
            cache,
            spa: settings.spa,
        });
        // The tree of routes prefers what is spelled out to what takes the rest of a path, so every
        // route of the API wins.
        let routes = ["/", "/*path"].map(|rest| Route {
            path: format!("{prefix}{rest}"),
            endpoint: files.clone().boxed(),
        });
        Ok(Contribution {
            routes: routes.into(),
            ..Contribution::default()
        })
    }
}
