//! What is wrong with a configuration, and where, in words for the person who wrote it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    position::{Position, Positions},
    structure::Fault,
    yaml::{self, Document, Flaw},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The server refuses to start.
    Error,
    /// The server starts; something has no effect or not the effect it seems to have.
    Warning,
}

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file.
    File { path: PathBuf, position: Position },
    /// Elsewhere: the name of an environment variable, a flag or a module.
    Named(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub place: Place,
    /// What is wrong, without a full stop.
    pub message: String,
    /// The nearest word that would have been right.
    pub suggestion: Option<String>,
}

impl Problem {
    /// An error at a place.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place,
            message: message.into(),
            suggestion: None,
        }
    }

    /// A warning at a place.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, message)
        }
    }

    /// The same with the nearest right word, if there is one.
    #[must_use]
    pub fn suggesting(mut self, word: Option<String>) -> Self {
        self.suggestion = word;
        self
    }

    /// Whether it keeps the server from starting.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, position } => {
                write!(
                    f,
                    "{}:{}:{}: ",
                    path.display(),
                    position.line,
                    position.column
                )?;
            }
            Place::Named(name) => write!(f, "{name}: ")?,
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(word) => write!(f, " (did you mean `{word}`?)"),
            None => Ok(()),
        }
    }
}

/// Puts problems in the order in which people go through them: by file and line, then the rest.
pub fn sort(problems: &mut Vec<Problem>) {
    problems.sort_by(|a, b| (&a.place, a.severity).cmp(&(&b.place, b.severity)));
    problems.dedup();
}

/// A file that was read: what it says and where.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path as it is shown: as given, relative to the working directory.
    pub path: PathBuf,
    pub value: serde_json::Value,
    pub positions: Positions,
}

impl SourceFile {
    /// Reads a YAML file. What leaves the rest of it readable goes into `problems`.
    ///
    /// # Errors
    /// The problem that makes it unreadable.
    pub fn read(path: &Path, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
        let whole = |message: String| {
            Problem::error(
                Place::File {
                    path: path.to_owned(),
                    position: Position::START,
                },
                message,
            )
        };
        // Asked first, so that a file of any size costs nothing.
        let size = std::fs::metadata(path)
            .map_err(|error| whole(format!("the file cannot be read: {error}")))?
            .len();
        if size > yaml::MAX_BYTES as u64 {
            return Err(whole(format!(
                "the file is larger than {} KiB",
                yaml::MAX_BYTES / 1024
            )));
        }
        let bytes = std::fs::read(path)
            .map_err(|error| whole(format!("the file cannot be read: {error}")))?;
        let flaw = |flaw: Flaw| {
            Problem::error(
                Place::File {
                    path: path.to_owned(),
                    position: flaw.position,
                },
                flaw.message,
            )
        };
        let Document {
            value,
            positions,
            flaws,
        } = yaml::read(&bytes).map_err(flaw)?;
        problems.extend(flaws.into_iter().map(flaw));
        Ok(Self {
            path: path.to_owned(),
            value,
            positions,
        })
    }

    /// The place of a JSON Pointer in this file.
    pub fn place(&self, pointer: &str, at_key: bool) -> Place {
        Place::File {
            path: self.path.clone(),
            position: self.positions.nearest(pointer, at_key),
        }
    }

    /// A fault found under `prefix` (the whole file where it is empty), as a problem.
    pub fn problem(&self, prefix: &str, fault: &Fault) -> Problem {
        let pointer = format!("{prefix}{}", fault.pointer);
        Problem::error(self.place(&pointer, fault.at_key()), &fault.message)
            .suggesting(fault.suggestion.clone())
    }
}
