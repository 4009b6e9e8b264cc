//! YAML files of other kinds than the configuration, such as the mapping of an import: each is
//! checked against the type that will hold it, with the same words and places as `nubo.yaml`.

use std::path::Path;

use nubo_core::nearest;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{
    pointer::{self, escape},
    problem::{self, Place, Problem, SourceFile},
    structure::{self, Extent, FaultKind, Report},
};

/// A file as its type, and everything that is wrong with it so far.
#[derive(Debug)]
pub struct Typed<T> {
    pub value: T,
    file: SourceFile,
    problems: Vec<Problem>,
}

/// Reads a file. What is structurally wrong is noted and left out, so that whoever knows what the
/// words mean can check the rest and [`Typed::finish`] reports all of it at once.
///
/// # Errors
/// When too little can be read.
pub fn read<T: DeserializeOwned + JsonSchema>(path: &Path) -> Result<Typed<T>, Vec<Problem>> {
    let mut problems = Vec::new();
    let file = match SourceFile::read(path, &mut problems) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(problem);
            return Err(problems);
        }
    };
    let mut value = match &file.value {
        Json::Null => Json::Object(Default::default()),
        value => value.clone(),
    };
    let schema = schemars::schema_for!(T).to_value();
    let Report { faults, empty } = structure::check(&schema, &value, Extent::Whole);
    problems.extend(faults.iter().map(|fault| file.problem("", fault)));
    let wrong = faults
        .iter()
        .filter(|fault| fault.kind != FaultKind::MissingKey)
        .map(|fault| fault.pointer.as_str());
    pointer::remove(&mut value, wrong.chain(empty.iter().map(String::as_str)));
    match serde_json::from_value(value) {
        Ok(value) => Ok(Typed {
            value,
            file,
            problems,
        }),
        Err(error) => {
            if !problems.iter().any(Problem::is_error) {
                problems.push(Problem::error(file.place("", false), error.to_string()));
            }
            problem::sort(&mut problems);
            Err(problems)
        }
    }
}

impl<T> Typed<T> {
    /// The place of the value that these keys lead to.
    pub fn place(&self, keys: &[&str]) -> Place {
        self.file.place(&pointer_of(keys), false)
    }

    /// Notes that the value that these keys lead to is wrong.
    pub fn wrong_value(&mut self, keys: &[&str], message: impl Into<String>) {
        let place = self.place(keys);
        self.problems.push(Problem::error(place, message));
    }

    /// Notes that a word is none of those known, and which of them may have been meant. It is the
    /// last of `keys`, or with `at_value` stands there as a value.
    pub fn unknown_word<'w>(
        &mut self,
        keys: &[&str],
        at_value: Option<&str>,
        message: impl Into<String>,
        known: impl IntoIterator<Item = &'w str>,
    ) {
        let word = at_value.or(keys.last().copied()).unwrap_or_default();
        let nearest = nearest(word, known).map(str::to_owned);
        let place = self.file.place(&pointer_of(keys), at_value.is_none());
        self.problems
            .push(Problem::error(place, message).suggesting(nearest));
    }

    /// The value, if nothing is wrong.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn finish(mut self) -> Result<T, Vec<Problem>> {
        problem::sort(&mut self.problems);
        if self.problems.iter().any(Problem::is_error) {
            Err(self.problems)
        } else {
            Ok(self.value)
        }
    }
}

fn pointer_of(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("/{}", escape(key))).collect()
}
