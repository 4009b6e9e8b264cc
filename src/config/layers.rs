//! The layers that a configuration is made of, and where in them a setting came from.
//!
//! figment puts one over the other: maps are merged key by key, everything else replaces what was
//! there before.

use std::path::{Path, PathBuf};

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map},
};
use serde_json::Value as Json;

use super::{
    environment::Assignment,
    pointer,
    problem::{Place, Problem, SourceFile},
    structure::{self, Extent, Fault, FaultKind, Report},
};

/// Where a layer comes from.
#[derive(Debug)]
pub enum Origin {
    /// Built in.
    Defaults,
    /// A file.
    File(SourceFile),
    /// An environment variable or a flag, by its name.
    Named(String),
}

/// One layer: some settings, and where they were written.
#[derive(Debug)]
pub struct Layer {
    pub origin: Origin,
    pub settings: Json,
}

impl Layer {
    /// The built-in settings.
    pub fn defaults(settings: Json) -> Self {
        Self {
            origin: Origin::Defaults,
            settings,
        }
    }

    /// The settings in a file.
    pub fn file(file: SourceFile) -> Self {
        Self {
            settings: file.value.clone(),
            origin: Origin::File(file),
        }
    }

    /// The setting that a variable makes.
    pub fn variable(assignment: Assignment) -> Self {
        Self {
            origin: Origin::Named(assignment.variable),
            settings: assignment.value,
        }
    }

    /// Checks the layer, adds what is wrong to `problems`, and takes it out, so that the rest can
    /// be gone on with.
    pub fn check(&mut self, schema: &Json, problems: &mut Vec<Problem>) {
        if self.settings.is_null() {
            self.settings = Json::Object(serde_json::Map::new());
        }
        let Report { faults, empty } = structure::check(schema, &self.settings, Extent::Layer);
        problems.extend(faults.iter().filter_map(|fault| self.problem(fault)));
        let wrong = faults.iter().map(|fault| fault.pointer.as_str());
        pointer::remove(
            &mut self.settings,
            wrong.chain(empty.iter().map(String::as_str)),
        );
    }

    /// A fault of this layer as a problem; the built-in layer has none that a user could mend.
    fn problem(&self, fault: &Fault) -> Option<Problem> {
        match &self.origin {
            Origin::Defaults => None,
            Origin::File(file) => Some(file.problem("", fault)),
            Origin::Named(name) => Some(
                Problem::error(Place::Named(name.clone()), &fault.message)
                    .suggesting(fault.suggestion.clone()),
            ),
        }
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(match &self.origin {
            Origin::Defaults => "defaults".to_owned(),
            Origin::File(file) => file.path.display().to_string(),
            Origin::Named(name) => name.clone(),
        })
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let settings = figment::value::Value::serialize(&self.settings)?;
        Ok(Profile::Default.collect(settings.into_dict().unwrap_or_default()))
    }
}

/// All layers, the strongest last.
#[derive(Debug, Default)]
pub struct Layers {
    layers: Vec<Layer>,
}

impl Layers {
    /// Puts a layer over those that are there.
    pub fn push(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// The settings that result.
    ///
    /// # Errors
    /// In words, what figment cannot represent; nothing that YAML can say.
    pub fn merged(&self) -> Result<Json, String> {
        self.layers
            .iter()
            .fold(Figment::new(), Figment::merge)
            .extract()
            .map_err(|error| error.to_string())
    }

    /// What is wrong with the result although each layer is right: something required that none
    /// of them brings.
    pub fn check_merged(&self, schema: &Json, merged: &Json) -> Vec<Problem> {
        structure::check(schema, merged, Extent::Whole)
            .faults
            .iter()
            .filter(|fault| fault.kind == FaultKind::MissingKey)
            .map(|fault| {
                let everywhere = || Place::Named("configuration".to_owned());
                let place = self.written(&fault.pointer).unwrap_or_else(everywhere);
                let message = format!("{}: {}", dotted(&fault.pointer), fault.message);
                Problem::error(place, message)
            })
            .collect()
    }

    /// Where a setting was written; not at all if the built-in value holds.
    pub fn written(&self, pointer: &str) -> Option<Place> {
        match self.origin(pointer)? {
            Origin::File(file) => Some(file.place(pointer, true)),
            Origin::Named(name) => Some(Place::Named(name.clone())),
            Origin::Defaults => None,
        }
    }

    /// Resolves a path among the settings: against the folder of the configuration, unless it came
    /// from the environment or a flag, which speak from the working directory.
    pub fn path(&self, pointer: &str, path: &Path, folder: &Path) -> PathBuf {
        match self.origin(pointer) {
            Some(Origin::Named(_)) => path.to_owned(),
            _ => folder.join(path.strip_prefix(".").unwrap_or(path)),
        }
    }

    /// The strongest layer that says something at a pointer.
    fn origin(&self, pointer: &str) -> Option<&Origin> {
        let wrote = |layer: &&Layer| layer.settings.pointer(pointer).is_some();
        self.layers
            .iter()
            .rev()
            .find(wrote)
            .map(|layer| &layer.origin)
    }
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}
