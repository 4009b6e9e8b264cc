//! Loads the collections: one file each, and those in `nubo.yaml` itself.
//!
//! Everything that is wrong with any of them is reported in one go. What is structurally wrong is
//! left out, so far as that leaves a collection standing, and the rest goes to the compiler, which
//! knows what names mean. A collection of which not enough is left counts as *broken*: it is not
//! compiled, and nobody is blamed for referring to it.

use std::path::{Path, PathBuf};

use nubo_core::{declare::CollectionDeclaration, schema::Catalog};
use serde_json::Value as Json;

use super::{
    pointer::{self, escape, parent},
    position::Position,
    problem::{Place, Problem, SourceFile},
    schema,
    structure::{self, Extent, Fault, FaultKind, Report},
};

/// Names that collections cannot have, since routes that are always there do.
pub const RESERVED_ROUTES: &[&str] = &[
    "batch", "docs", "health", "login", "logout", "me", "metrics", "openapi", "ping", "ready",
    "refresh", "signup", "token", "ws",
];

/// A collection as it was found.
#[derive(Debug)]
struct Found<'a> {
    file: &'a SourceFile,
    /// JSON Pointer of the collection in its file.
    prefix: String,
    /// What it has to be called because of where it stands.
    called: Option<Called>,
    value: Json,
}

/// A name that a place gives to what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Called {
    /// `collections/<name>.yaml`
    File(String),
    /// `collections: { <name>: … }`
    Key(String),
}

impl Called {
    fn name(&self) -> &str {
        match self {
            Self::File(name) | Self::Key(name) => name,
        }
    }

    fn complaint(&self, written: &str) -> String {
        match self {
            Self::File(stem) => format!(
                "the collection is called `{written}`, its file `{stem}.yaml`; the two names must \
                 agree"
            ),
            Self::Key(key) => format!(
                "the collection is called `{written}`, its key `{key}`; the two names must agree"
            ),
        }
    }
}

/// The files of a folder that declare collections, by name; what cannot be read is a problem and
/// leaves its name behind.
#[derive(Debug, Default)]
pub struct Folder {
    pub files: Vec<SourceFile>,
    pub unreadable: Vec<String>,
}

impl Folder {
    /// Reads all `*.yaml` files in a folder.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn read(path: &Path, problems: &mut Vec<Problem>) -> std::io::Result<Self> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()?;
        paths.sort();
        let mut folder = Self::default();
        for path in paths {
            let hidden = path
                .file_name()
                .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            let extension = path.extension().and_then(|extension| extension.to_str());
            match extension {
                _ if hidden => {}
                Some("yaml") => match SourceFile::read(&path, problems) {
                    Ok(file) => folder.files.push(file),
                    Err(problem) => {
                        problems.push(problem);
                        folder.unreadable.extend(stem(&path));
                    }
                },
                Some("yml") => problems.push(Problem::warning(
                    Place::File {
                        path,
                        position: Position::START,
                    },
                    "is not read: the name of a collection's file ends in `.yaml`",
                )),
                _ => {}
            }
        }
        Ok(folder)
    }

    fn found(&self) -> impl Iterator<Item = Found<'_>> {
        self.files.iter().map(|file| Found {
            file,
            prefix: String::new(),
            called: stem(&file.path).map(Called::File),
            value: file.value.clone(),
        })
    }
}

fn stem(path: &Path) -> Option<String> {
    Some(path.file_stem()?.to_str()?.to_owned())
}

/// The collections that a configuration file declares itself.
fn inline<'a>(file: &'a SourceFile, problems: &mut Vec<Problem>) -> Vec<Found<'a>> {
    let found = |key: &str, called, value: &Json| Found {
        file,
        prefix: format!("/collections/{}", escape(key)),
        called,
        value: value.clone(),
    };
    match file.value.get("collections") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(items)) => (0..)
            .zip(items)
            .map(|(index, value): (usize, _)| found(&index.to_string(), None, value))
            .collect(),
        Some(Json::Object(entries)) => entries
            .iter()
            .map(|(key, value)| found(key, Some(Called::Key(key.clone())), value))
            .collect(),
        Some(other) => {
            let message = format!(
                "expected a list or a map, found {}",
                super::shape::found(other)
            );
            problems.push(Problem::error(file.place("/collections", false), message));
            Vec::new()
        }
    }
}

/// The collections of a configuration: as they were declared, and compiled. Both are in the same
/// order.
#[derive(Debug, Default)]
pub struct Collections {
    pub declarations: Vec<CollectionDeclaration>,
    pub catalog: Catalog,
    sources: Vec<Source>,
}

/// Where a collection is declared.
#[derive(Debug)]
struct Source {
    file: SourceFile,
    /// JSON Pointer of the collection in its file.
    prefix: String,
}

impl Collections {
    /// Where a text stands in the declaration of a collection; where that begins if it does not
    /// stand there.
    pub fn place_of(&self, collection: &str, text: &str) -> Place {
        let mut declared = self.declarations.iter().zip(&self.sources);
        match declared.find(|(declaration, _)| declaration.name == collection) {
            Some((_, Source { file, prefix })) => {
                let value = file.value.pointer(prefix);
                let within = value.and_then(|value| pointer_of(value, text));
                file.place(&format!("{prefix}{}", within.unwrap_or_default()), false)
            }
            None => Place::Named(collection.to_owned()),
        }
    }
}

/// The pointer of a text somewhere in a value.
fn pointer_of(value: &Json, text: &str) -> Option<String> {
    match value {
        Json::String(found) if found == text => Some(String::new()),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("/{index}{}", pointer_of(item, text)?))),
        Json::Object(entries) => entries
            .iter()
            .find_map(|(key, item)| Some(format!("/{}{}", escape(key), pointer_of(item, text)?))),
        _ => None,
    }
}

/// Checks and compiles all collections. Adds everything that is wrong to `problems`; if any of it
/// is an error, there is nothing to go on with.
pub fn compile(
    folder: &Folder,
    configuration: &[SourceFile],
    problems: &mut Vec<Problem>,
) -> Option<Collections> {
    let mut all: Vec<Found<'_>> = folder.found().collect();
    for file in configuration {
        all.extend(inline(file, problems));
    }
    let schema = schema::collection();
    let mut broken = folder.unreadable.clone();
    let mut places = Vec::new();
    let mut declarations = Vec::new();
    for mut found in all {
        let names = names(&found);
        match read(&schema, &mut found, problems) {
            Some(declaration) => {
                declarations.push(declaration);
                places.push(found);
            }
            None => broken.extend(names),
        }
    }
    match Catalog::compile_with_gaps(&declarations, RESERVED_ROUTES, &broken) {
        Ok(catalog) => Some(Collections {
            declarations,
            catalog,
            sources: places
                .into_iter()
                .map(|found| Source {
                    file: found.file.clone(),
                    prefix: found.prefix,
                })
                .collect(),
        }),
        Err(mistakes) => {
            problems.extend(mistakes.into_iter().filter_map(|mistake| {
                let found = places.get(mistake.declaration)?;
                let pointer = format!("{}{}", found.prefix, mistake.pointer);
                let place = found.file.place(&pointer, mistake.at_key);
                Some(Problem::error(place, mistake.message).suggesting(mistake.suggestion))
            }));
            None
        }
    }
}

/// Every name under which others may refer to a collection.
fn names(found: &Found<'_>) -> Vec<String> {
    let written = found
        .value
        .get("name")
        .and_then(Json::as_str)
        .map(str::to_owned);
    let called = found.called.as_ref().map(|called| called.name().to_owned());
    written.into_iter().chain(called).collect()
}

/// Reads one collection; none if too much of it is wrong.
fn read(
    schema: &Json,
    found: &mut Found<'_>,
    problems: &mut Vec<Problem>,
) -> Option<CollectionDeclaration> {
    if found.value.is_null() {
        let place = found.file.place(&found.prefix, true);
        problems.push(Problem::error(
            place,
            "the collection is empty; it needs at least `fields`",
        ));
        return None;
    }
    // A key in `nubo.yaml` is the name already; it need not be written twice.
    if let (Some(Called::Key(key)), Some(entries)) = (&found.called, found.value.as_object_mut())
        && !entries.contains_key("name")
    {
        entries.insert("name".into(), key.as_str().into());
    }
    let Report { faults, empty } = structure::check(schema, &found.value, Extent::Whole);
    problems.extend(
        faults
            .iter()
            .map(|fault| found.file.problem(&found.prefix, fault)),
    );
    pointer::remove(&mut found.value, empty.iter().map(String::as_str));
    leave_out(&faults, found)?;

    if let (Some(called), Some(written)) = (
        &found.called,
        found.value.get("name").and_then(Json::as_str),
    ) && called.name() != written
    {
        let place = found.file.place(&format!("{}/name", found.prefix), false);
        problems.push(Problem::error(place, called.complaint(written)));
    }
    match serde_json::from_value(found.value.clone()) {
        Ok(declaration) => Some(declaration),
        Err(error) => {
            problems.push(Problem::error(
                found.file.place(&found.prefix, true),
                error.to_string(),
            ));
            None
        }
    }
}

/// Takes what is wrong out of a collection, if what is left still means what was meant: a missing
/// option or rule does no harm, a missing field would bring mistakes that nobody has made.
fn leave_out(faults: &[Fault], found: &mut Found<'_>) -> Option<()> {
    let mut pointers = Vec::new();
    for fault in faults {
        let place = match fault.kind {
            FaultKind::UnknownKey | FaultKind::MisspeltKey => {
                pointers.push(fault.pointer.clone());
                parent(&fault.pointer).unwrap_or_default()
            }
            FaultKind::MissingKey | FaultKind::WrongValue => &fault.pointer,
        };
        if fault.kind == FaultKind::UnknownKey {
            continue;
        }
        let segments: Vec<&str> = place.split('/').skip(1).collect();
        match segments.as_slice() {
            // The name can be told from the place, and whether there are fields is seen below.
            [] if found.value.is_object() => {}
            ["name"] => pointers.push(place.to_owned()),
            [] | ["fields"] | ["fields", _] => return None,
            ["fields", _, "type" | "to" | "fields" | "enum", ..] => return None,
            ["fields", field, option, ..] => pointers.push(format!("/fields/{field}/{option}")),
            // Whole lists, lest the places of their other items move.
            [key, ..] => pointers.push(format!("/{key}")),
        }
    }
    pointer::remove(&mut found.value, pointers.iter().map(String::as_str));
    let name = found.called.as_ref().map(Called::name);
    if let (Some(entries), Some(name)) = (found.value.as_object_mut(), name)
        && !entries.contains_key("name")
    {
        entries.insert("name".into(), name.into());
    }
    (found.value.get("name").is_some() && found.value.get("fields").is_some()).then_some(())
}
