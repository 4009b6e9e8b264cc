//! Orders about dead letters: writes that were acknowledged and then refused.

use nubo_core::{
    Error,
    queue::{DeadLetter, Number, QueuedWrite, Which},
    schema::Catalog,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::Administration;

/// Most dead letters that are listed.
const MAX_LISTED: u32 = 1000;

/// What can be ordered of dead letters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterOrder {
    /// The oldest ones.
    List,
    /// One with its documents.
    Show { number: i64 },
    /// Back into the queue; all where none is named.
    Retry { numbers: Option<Vec<i64>> },
    /// Forgotten; all where none is named.
    Drop { numbers: Option<Vec<i64>> },
}

impl Administration {
    pub(super) async fn execute_on_dead_letters(
        &self,
        order: DeadLetterOrder,
    ) -> Result<Json, Error> {
        let none = || Error::bad_request("no_queue", "nothing is queued here");
        let behind = self.behind.as_ref().ok_or_else(none)?;
        Ok(match order {
            DeadLetterOrder::List => {
                let letters = behind.dead_letters(Number(0), MAX_LISTED).await?;
                letters
                    .iter()
                    .map(|letter| row(letter, &self.catalog))
                    .collect()
            }
            DeadLetterOrder::Show { number } => {
                let letter = behind.dead_letter(Number(number)).await?;
                let missing = || Error::NotFound {
                    code: "not_found",
                    detail: format!("there is no dead letter {number}"),
                };
                whole(&letter.ok_or_else(missing)?, &self.catalog)
            }
            DeadLetterOrder::Retry { numbers } => {
                json!({ "retried": behind.retry(which(numbers)).await? })
            }
            DeadLetterOrder::Drop { numbers } => {
                json!({ "dropped": behind.forget(which(numbers)).await? })
            }
        })
    }
}

fn which(numbers: Option<Vec<i64>>) -> Which {
    match numbers {
        Some(numbers) => Which::These(numbers.into_iter().map(Number).collect()),
        None => Which::All,
    }
}

fn problem(letter: &DeadLetter) -> Json {
    serde_json::from_str(&letter.problem).unwrap_or_default()
}

/// A dead letter in a line.
fn row(letter: &DeadLetter, catalog: &Catalog) -> Json {
    let problem = problem(letter);
    let write = QueuedWrite::unpack(&letter.packed, catalog);
    let documents = write.map(|write| write.documents).unwrap_or_default();
    let mut collections: Vec<&str> = Vec::new();
    for (collection, _) in &documents {
        let name = catalog.get(*collection).name.as_str();
        if !collections.contains(&name) {
            collections.push(name);
        }
    }
    json!({
        "number": letter.number.0,
        "collection": collections,
        "documents": documents.len(),
        "queued": letter.queued_at.to_string(),
        "refused": letter.refused_at.to_string(),
        "code": problem["code"],
        "reason": problem["detail"],
    })
}

/// A dead letter with its documents as they would have been sent. What is never sent stays here.
fn whole(letter: &DeadLetter, catalog: &Catalog) -> Json {
    let documents = match QueuedWrite::unpack(&letter.packed, catalog) {
        Ok(write) => write
            .documents
            .iter()
            .map(|(collection, document)| {
                let collection = catalog.get(*collection);
                json!({
                    "collection": collection.name,
                    "document": super::shown(collection, collection.sent_fields(), document),
                })
            })
            .collect(),
        Err(unreadable) => json!(unreadable.to_string()),
    };
    json!({
        "number": letter.number.0,
        "queued": letter.queued_at.to_string(),
        "refused": letter.refused_at.to_string(),
        "problem": problem(letter),
        "documents": documents,
    })
}
