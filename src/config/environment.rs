//! Settings from the environment and from `.env`.
//!
//! `NUBO_SERVER__LISTEN` sets `server.listen`: a double underscore goes one level down. What kind
//! of value is meant is read off the schema, so that a password of digits stays text. A few names
//! that platforms and other tools use anyway are understood without the prefix.

use std::{collections::BTreeMap, path::Path};

use nubo_core::nearest;
use serde_json::{Value as Json, json};

use super::{
    position::Position,
    problem::{Place, Problem},
    shape::{Kind, Shape},
    values::ListenAddress,
    yaml,
};

/// Prefix of our own variables.
const PREFIX: &str = "NUBO_";
/// Picks the profile; not a setting.
pub const PROFILE: &str = "NUBO_PROFILE";
/// The port alone, as hosting platforms give it.
const PORT: &str = "PORT";

/// Names without our prefix, and the settings they stand for. Which of these settings there are
/// depends on the modules and drivers that the server was built with.
const PLAIN_NAMES: [(&str, &str); 12] = [
    ("JWT_SECRET", "auth/jwt_secret"),
    ("DATABASE_URL", "tiers/truth/url"),
    ("REDIS_ADDR", "tiers/cache/redis/url"),
    ("MONGODB_URI", "tiers/recent/mongodb/uri"),
    ("MONGODB_DATABASE", "tiers/recent/mongodb/database"),
    (
        "MONGODB_MAX_POOL_SIZE",
        "tiers/recent/mongodb/max_pool_size",
    ),
    (
        "MONGODB_MIN_POOL_SIZE",
        "tiers/recent/mongodb/min_pool_size",
    ),
    (
        "MONGODB_MAX_CONN_IDLE_TIME",
        "tiers/recent/mongodb/max_conn_idle_time",
    ),
    (
        "MONGODB_SERVER_SELECTION_TIMEOUT",
        "tiers/recent/mongodb/server_selection_timeout",
    ),
    (
        "MONGODB_SOCKET_TIMEOUT",
        "tiers/recent/mongodb/socket_timeout",
    ),
    ("MONGODB_READ_TIMEOUT", "tiers/recent/mongodb/read_timeout"),
    (
        "MONGODB_CONNECT_TIMEOUT",
        "tiers/recent/mongodb/connect_timeout",
    ),
];

/// Environment variables by name.
pub type Variables = BTreeMap<String, String>;

/// The variables of this process. Those that are not UTF-8 cannot be ours and are left out.
pub fn of_process() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Adds what a `.env` file says. What is set already stays as it is; a file that is not there adds
/// nothing.
pub fn add_file(path: &Path, variables: &mut Variables, problems: &mut Vec<Problem>) {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            let message = format!("the file cannot be read: {error}");
            problems.push(Problem::error(in_file(path, 1), message));
            return;
        }
    };
    for entry in dotenvy::from_read_iter(bytes.as_slice()) {
        match entry {
            Ok((name, value)) => {
                variables.entry(name).or_insert(value);
            }
            // The line itself is not repeated: it may hold a secret.
            Err(dotenvy::Error::LineParse(line, _)) => {
                let text = String::from_utf8_lossy(&bytes);
                let number = text.lines().position(|other| other.trim() == line.trim());
                let place = in_file(path, number.map_or(1, |index| index + 1));
                let message = "this line is not NAME=value; put a value with spaces in quotes";
                problems.push(Problem::error(place, message));
            }
            Err(error) => {
                problems.push(Problem::error(in_file(path, 1), error.to_string()));
                return;
            }
        }
    }
}

fn in_file(path: &Path, line: usize) -> Place {
    Place::File {
        path: path.to_owned(),
        position: Position { line, column: 1 },
    }
}

/// A setting that a variable makes.
#[derive(Debug)]
pub struct Assignment {
    /// Name of the variable.
    pub variable: String,
    /// The configuration that consists of this one setting.
    pub value: Json,
}

/// The settings that the variables make, in the order of their names; plain names come first, so
/// that our own override them.
pub fn assignments(
    schema: &Json,
    variables: &Variables,
    problems: &mut Vec<Problem>,
) -> Vec<Assignment> {
    let root = Shape::root(schema);
    let mut assignments = Vec::new();
    for (name, setting) in PLAIN_NAMES {
        let Some(text) = variables.get(name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let keys: Vec<_> = setting.split('/').map(str::to_owned).collect();
        match find(root, &keys) {
            Ok(shape) => assignments.push(assign(name, &keys, value_of(shape, text))),
            Err(_) => problems.push(Problem::warning(
                Place::Named(name.to_owned()),
                "is set, but this server has no setting that takes it",
            )),
        }
    }
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX).filter(|_| name != PROFILE) else {
            continue;
        };
        let keys: Vec<_> = path
            .to_ascii_lowercase()
            .split("__")
            .map(str::to_owned)
            .collect();
        match find(root, &keys) {
            Ok(shape) if text.is_empty() && !shape.takes(Kind::Text) => {}
            Ok(shape) => assignments.push(assign(name, &keys, value_of(shape, text))),
            Err(unknown) => problems.push(unknown.problem(name, &keys)),
        }
    }
    assignments
}

/// What `PORT` makes of the address to listen on.
pub fn port(variables: &Variables, listen: ListenAddress) -> Option<Result<Assignment, Problem>> {
    let text = variables.get(PORT).filter(|text| !text.is_empty())?;
    let Ok(port) = text.parse::<u16>() else {
        let message = format!("expected a number from 0 to 65535, found the text `{text}`");
        return Some(Err(Problem::error(Place::Named(PORT.to_owned()), message)));
    };
    let mut address = listen.0;
    address.set_port(port);
    Some(Ok(Assignment {
        variable: PORT.to_owned(),
        value: json!({ "server": { "listen": address.to_string() } }),
    }))
}

fn assign(variable: &str, keys: &[String], value: Json) -> Assignment {
    let value = keys
        .iter()
        .rev()
        .fold(value, |inner, key| json!({ key: inner }));
    Assignment {
        variable: variable.to_owned(),
        value,
    }
}

/// How far a variable's name could be followed.
struct Unknown {
    /// How many levels are right.
    known: usize,
    /// The right key nearest to the first wrong one.
    suggestion: Option<String>,
}

impl Unknown {
    /// A name that goes down from one of our sections was certainly meant for us. Any other may be
    /// somebody else's: Kubernetes, for one, sets `NUBO_SERVICE_HOST` beside a service `nubo`.
    fn problem(self, name: &str, keys: &[String]) -> Problem {
        let place = Place::Named(name.to_owned());
        let problem = if self.known > 0 {
            Problem::error(place, "no setting has this name")
        } else {
            Problem::warning(place, "no setting has this name, so it has no effect")
        };
        problem.suggesting(self.suggestion.map(|key| {
            let mut keys = keys.to_vec();
            keys[self.known] = key;
            format!("{PREFIX}{}", keys.join("__").to_ascii_uppercase())
        }))
    }
}

fn find<'a>(root: Shape<'a>, keys: &[String]) -> Result<Shape<'a>, Unknown> {
    let mut shape = root;
    for (known, key) in keys.iter().enumerate() {
        let mut views = shape.branches();
        views.push(shape);
        shape = views
            .iter()
            .find_map(|view| view.property(key))
            .ok_or_else(|| {
                let words = views.iter().filter_map(|view| view.properties());
                let words = words.flat_map(|known| known.keys().map(String::as_str));
                Unknown {
                    known,
                    suggestion: nearest(key, words).map(str::to_owned),
                }
            })?;
    }
    Ok(shape)
}

/// The value that a text stands for where the schema says what is expected. A text that does not
/// fit stays text, and the structure check then says what was expected.
fn value_of(shape: Shape<'_>, text: &str) -> Json {
    let read = || yaml::parse(text).map_or(Json::Null, |document| document.value);
    let fits = |value: &Json| !value.is_null() && shape.takes(Kind::of(value));
    if shape.takes(Kind::Text) {
        return text.into();
    }
    if shape.takes(Kind::List) && !text.trim_start().starts_with('[') {
        let item = shape.get("items").map(|schema| shape.with(schema));
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        return items
            .map(|text| item.map_or_else(|| text.into(), |shape| value_of(shape, text)))
            .collect();
    }
    Some(read()).filter(fits).unwrap_or_else(|| text.into())
}

#[cfg(test)]
#[path = "environment_test.rs"]
mod tests;
