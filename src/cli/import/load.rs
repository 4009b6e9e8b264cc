//! From rows to writes: which documents are there already, what is to be created and what replaced,
//! and the way into the store.
//!
//! Rows go through in batches. Each batch asks once which of its ids exist. Then either its rows
//! wait until all have been read and are written as one transaction, or, with `keep going`, they are
//! written each for itself while the next batch is read, never before the batch in front of them is
//! stored: they may refer to it.

use std::collections::{HashMap, hash_map::Entry as Seen};

use nubo_core::{
    Error, Result,
    caller::Caller,
    change,
    clock::Random,
    field::{FieldType, Source},
    filter::{Expr, Path, Test},
    id::{Id, Revision},
    query::{Query, Start},
    schema::{Catalog, Collection, SortKey},
    store::Store,
    value::Value,
    write::{Guard, Operation, Outcome, Sequence, Target},
};
use serde_json::Value as Json;

use super::{
    order,
    report::{self, Report},
};

/// A row under the names of fields.
pub struct Candidate {
    pub line: usize,
    pub row: Json,
    /// Its id, where it has one before it is stored.
    pub id: Option<Id>,
}

/// A row that is ready to be written.
pub struct Prepared {
    pub line: usize,
    pub operation: Operation,
    /// The revision of the document that it replaces.
    pub before: Option<Revision>,
}

/// Makes writes of rows.
pub struct Loader<'a> {
    pub store: &'a dyn Store,
    pub catalog: &'a Catalog,
    pub collection: &'a Collection,
    /// Gives required passwords that are missing: nobody knows them.
    pub passwords: Option<&'a dyn Random>,
    /// The line of every id in the file so far.
    seen: HashMap<Id, usize>,
}

impl<'a> Loader<'a> {
    /// A loader into a collection.
    pub fn new(
        store: &'a dyn Store,
        catalog: &'a Catalog,
        collection: &'a Collection,
        passwords: Option<&'a dyn Random>,
    ) -> Self {
        Self {
            store,
            catalog,
            collection,
            passwords,
            seen: HashMap::new(),
        }
    }

    /// Reads rows as documents. Those that cannot be are rejected.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn prepare(
        &mut self,
        batch: Vec<Candidate>,
        report: &mut Report,
    ) -> Result<Vec<Prepared>> {
        let ids = batch.iter().filter_map(|candidate| candidate.id).collect();
        let existing = self.existing(ids).await?;
        let mut prepared = Vec::with_capacity(batch.len());
        for Candidate { line, row, id } in batch {
            if let Some(id) = id {
                match self.seen.entry(id) {
                    Seen::Occupied(first) => {
                        let message = format!("is the same document as line {}", first.get());
                        report.reject(line, message);
                        continue;
                    }
                    Seen::Vacant(place) => {
                        place.insert(line);
                    }
                }
            }
            let found = id.and_then(|id| Some((id, *existing.get(&id)?)));
            let operation = match found {
                Some((id, _)) => self.replacement(id, &row),
                None => self.creation(id, row),
            };
            match operation {
                Ok(operation) => prepared.push(Prepared {
                    line,
                    operation,
                    before: found.map(|(_, revision)| revision),
                }),
                Err(error) => report.reject(line, report::reason(&error)),
            }
        }
        Ok(prepared)
    }

    /// Writes all rows as one transaction. Nothing is written if one of them is rejected.
    ///
    /// # Errors
    /// When it fails and no row is to blame.
    pub async fn write_together(&self, mut rows: Vec<Prepared>, report: &mut Report) -> Result<()> {
        order::parents_first(self.collection, &mut rows);
        let (sources, operations) = split(rows);
        if operations.is_empty() {
            return Ok(());
        }
        match self.store.write(&Caller::Server, operations).await {
            Ok(outcomes) => {
                for (outcome, (_, before)) in outcomes.iter().zip(&sources) {
                    report.count(outcome, *before);
                }
                Ok(())
            }
            Err(error) => match culprit(&error, sources.len()) {
                Some((index, reason)) if index < sources.len() => {
                    report.reject(sources[index].0, reason);
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    /// Which of these documents are there, and at which revision.
    async fn existing(&self, ids: Vec<Id>) -> Result<HashMap<Id, Revision>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let id_field = &self.collection.fields()[Collection::ID];
        let query = Query {
            collection: self.collection.id,
            limit: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            filter: Expr::field(
                Path::to_field(Collection::ID, id_field),
                Test::In(ids.iter().map(|id| Value::Uuid(id.uuid())).collect()),
            ),
            sort: vec![SortKey {
                field: Collection::ID,
                descending: false,
            }],
            start: Start::First,
            fields: Some(vec![Collection::ID, self.collection.revision()]),
        };
        let page = self
            .store
            .list_at_once(&Caller::Server, query)
            .await?
            .content;
        let documents = [b"[", &page.documents[..], b"]"].concat();
        let documents: Vec<Stored> = serde_json::from_slice(&documents).map_err(Error::internal)?;
        let revision = |stored: Stored| {
            let id = stored.id.parse().map_err(Error::internal)?;
            Ok((id, Revision::new(stored.revision)))
        };
        documents.into_iter().map(revision).collect()
    }

    fn creation(&self, id: Option<Id>, mut row: Json) -> Result<Operation> {
        let missing = self.missing_passwords(&row);
        if let (Some(random), Json::Object(entries)) = (self.passwords, &mut row) {
            for name in &missing {
                entries.insert((*name).to_owned(), Json::String(unknown_password(random)));
            }
        }
        let document = self.collection.read_document(&row, Source::Json);
        let mut document = document.map_err(|error| self.hint(error, &missing))?;
        if let Some(id) = id {
            document.set(Collection::ID, Value::Uuid(id.uuid()));
        }
        Ok(Operation::Create {
            collection: self.collection.id,
            document,
        })
    }

    fn replacement(&self, id: Id, row: &Json) -> Result<Operation> {
        Ok(Operation::Update {
            collection: self.collection.id,
            target: Target::One {
                id,
                guard: Guard::default(),
            },
            change: change::read_replacement(self.catalog, self.collection, row)?,
        })
    }

    /// The required passwords that a row does not have.
    fn missing_passwords(&self, row: &Json) -> Vec<&'a str> {
        let fields = self.collection.declared_fields().map(|(_, field)| field);
        fields
            .filter(|field| field.kind == FieldType::Password && field.required)
            .filter(|field| row.get(&field.name).is_none_or(Json::is_null))
            .map(|field| field.name.as_str())
            .collect()
    }

    /// Says what can be done about passwords that are missing.
    fn hint(&self, mut error: Error, missing: &[&str]) -> Error {
        if let Error::Invalid(violations) = &mut error {
            for violation in violations {
                let name = violation.path.trim_start_matches('/');
                if violation.code == "required" && missing.contains(&name) {
                    violation.message.push_str(
                        " (exports hold no passwords; --random-passwords gives one that nobody \
                         knows)",
                    );
                }
            }
        }
        error
    }
}

/// Writes each row for itself.
pub async fn write_apart(
    store: &dyn Store,
    collection: &Collection,
    mut rows: Vec<Prepared>,
) -> Apart {
    order::parents_first(collection, &mut rows);
    let (origins, operations) = split(rows);
    let results = match operations.is_empty() {
        true => Vec::new(),
        false => {
            let written = store.write_each(&Caller::Server, operations, Sequence::Independent);
            written.await
        }
    };
    Apart { results, origins }
}

/// What became of rows that were written each for itself.
pub struct Apart {
    results: Vec<Result<Outcome>>,
    origins: Origins,
}

impl Apart {
    /// Counts the rows; those that failed are rejected.
    ///
    /// # Errors
    /// When the store failed rather than a row.
    pub fn count(self, report: &mut Report) -> Result<()> {
        let mut failure = None;
        for (result, (line, before)) in self.results.into_iter().zip(self.origins) {
            match result {
                Ok(outcome) => report.count(&outcome, before),
                Err(error @ (Error::Unavailable { .. } | Error::Internal(_))) => {
                    failure.get_or_insert(error);
                }
                Err(error) => report.reject(line, report::reason(&error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// What is asked of documents that are there.
#[derive(serde::Deserialize)]
struct Stored {
    id: String,
    #[serde(rename = "_rev")]
    revision: i64,
}

type Origins = Vec<(usize, Option<Revision>)>;

fn split(rows: Vec<Prepared>) -> (Origins, Vec<Operation>) {
    rows.into_iter()
        .map(|row| ((row.line, row.before), row.operation))
        .unzip()
}

/// The operation that made a transaction fail and what is wrong with it: the store puts its index
/// in front of every place, unless there is one operation only.
fn culprit(error: &Error, operations: usize) -> Option<(usize, String)> {
    let place = |path: &str| -> Option<(usize, String)> {
        if operations == 1 {
            return Some((0, path.to_owned()));
        }
        let path = path.strip_prefix('/')?;
        let (index, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        Some((index.parse().ok()?, rest.to_owned()))
    };
    let (index, _) = place(&error.errors().first()?.path)?;
    let each = error.errors().iter().map(|violation| {
        let path = place(&violation.path).map(|(_, rest)| rest);
        let path = path.unwrap_or_default();
        format!("{path} {}", violation.message).trim().to_owned()
    });
    Some((index, each.collect::<Vec<_>>().join("; ")))
}

/// 192 bits that are forgotten at once.
fn unknown_password(random: &dyn Random) -> String {
    let mut bytes = [0; 24];
    random.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "load_test.rs"]
mod tests;
