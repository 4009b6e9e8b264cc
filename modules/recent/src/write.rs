//! Bringing versions of documents: of each document the newest stays.
//!
//! Versions come in any order and more than once: batches settle beside each other, and what is not
//! known to have arrived is brought again. So each says to MongoDB, in one step: replace what is
//! there if that is older. A condition on the revision in the search for the document would not do.
//! Where a newer one is there, nothing would be found, and MongoDB would try to put a second one
//! beside it; and of two that both find nothing, the newer might lose. So the search is for the id
//! alone, and the comparison is part of the change.
//!
//! What belongs to an earlier epoch is older than anything of a later one, whatever its revision; but
//! for documents that have no other place. Of those the newest version stays whenever it was brought.
//!
//! The first version of a document is most likely the first that comes, and a plain insert costs MongoDB
//! far less. So those are inserted; an id that is there already is refused, and then compared.

use std::{collections::HashSet, time::Duration};

use mongodb::{
    Database,
    bson::{Document, RawArrayBuf, RawDocumentBuf, raw::cstr, rawdoc},
};
use nubo_core::{
    Error, Result,
    document::Document as CoreDocument,
    field::Field,
    id::Id,
    recent::{Fresh, State},
    schema::Collection,
    time::Timestamp,
    value::Value,
};

use crate::{
    fault::{self, code},
    limit::in_time,
    stored::{self, Stamp},
};

/// How many versions go together.
const MOST: usize = 1000;
/// How many bytes they have together, about: far from the 48 MB that a message may have.
const MOST_BYTES: usize = 4 << 20;
/// How many bytes a document has at most; MongoDB's own limit.
const MOST_OF_ONE: usize = 16 << 20;
/// How often those are brought again that lost a race for an id.
const RACES: usize = 5;

/// A version that MongoDB did not take, and will not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub id: Id,
    /// MongoDB's number for the reason; none where it was not even asked.
    pub code: Option<i32>,
}

/// Brings versions. Returns those that MongoDB cannot hold, such as documents that are too large.
/// `limit` is for each command.
///
/// # Errors
/// Where it is not known which of them have arrived. They may be brought again.
pub(crate) async fn write(
    database: &Database,
    collection: &Collection,
    is_sharded: bool,
    versions: &[Fresh<'_>],
    stamp: Stamp,
    limit: Duration,
) -> Result<Vec<Refused>> {
    let mut refused = Vec::new();
    let unfit = |version: &Fresh<'_>| Refused {
        id: version.id,
        code: None,
    };
    let (first, mut others): (Vec<_>, Vec<_>) = versions
        .iter()
        .partition(|version| is_first(collection, version));
    let mut inserts = Vec::with_capacity(first.len());
    for version in &first {
        match replacement(collection, None, version, stamp) {
            Ok(document) => inserts.push((version.id, document)),
            Err(Unfit) => refused.push(unfit(version)),
        }
    }
    let there: HashSet<Id> = insert(database, collection, &inserts, limit, &mut refused).await?;
    others.extend(
        first
            .into_iter()
            .filter(|version| there.contains(&version.id)),
    );
    let mut waiting = Vec::with_capacity(others.len());
    for version in others {
        match statement(collection, is_sharded, version, stamp) {
            Ok(statement) => waiting.push((version.id, statement)),
            Err(Unfit) => refused.push(unfit(version)),
        }
    }
    let mut rest = waiting.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(fitting(rest));
        rest = later;
        bring(database, collection, batch, limit, &mut refused).await?;
    }
    Ok(refused)
}

/// Whether a version is the first of its document, by what that says of itself.
fn is_first(collection: &Collection, version: &Fresh<'_>) -> bool {
    match version.state {
        State::There(document) => {
            let time = |field| document.value(field);
            time(collection.created_at()) == time(collection.updated_at())
        }
        State::Gone(_) => false,
    }
}

/// Inserts documents. Gives the ids that are there already.
async fn insert(
    database: &Database,
    collection: &Collection,
    documents: &[(Id, RawDocumentBuf)],
    limit: Duration,
    refused: &mut Vec<Refused>,
) -> Result<HashSet<Id>> {
    let mut there = HashSet::new();
    let mut rest = documents;
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(fitting(rest));
        rest = later;
        let waiting: Vec<&(Id, RawDocumentBuf)> = batch.iter().collect();
        let command = command(Verb::Insert, name(collection), &waiting);
        for (index, number) in carry_out(database, command, limit).await? {
            let (id, _) = batch.get(index).ok_or_else(unknown_statement)?;
            match number {
                code::DUPLICATE_KEY => drop(there.insert(*id)),
                number if fault::is_passing(number) => return Err(fault::gone()),
                number => refused.push(Refused {
                    id: *id,
                    code: Some(number),
                }),
            }
        }
    }
    Ok(there)
}

/// What MongoDB calls a collection's documents.
fn name(collection: &Collection) -> &str {
    let tier = collection.tiers.recent.as_ref();
    tier.map(|recent| recent.collection.as_str())
        .unwrap_or_default()
}

/// Carries a command out. Gives the places of what has failed, and the numbers.
async fn carry_out(
    database: &Database,
    command: RawDocumentBuf,
    limit: Duration,
) -> Result<Vec<(usize, i32)>> {
    let asking = async {
        let answer = database.run_raw_command(command).await;
        answer.map_err(fault::failure)
    };
    failed(&in_time(limit, asking).await?)
}

fn unknown_statement() -> Error {
    Error::internal("MongoDB names a statement that there is not")
}

/// How many from the front go together.
fn fitting(statements: &[(Id, RawDocumentBuf)]) -> usize {
    let mut bytes = 0;
    let fit = statements.iter().take(MOST).take_while(|(_, statement)| {
        bytes += statement.as_bytes().len();
        bytes <= MOST_BYTES
    });
    // One that is larger goes alone.
    fit.count().max(1)
}

/// Brings statements, and those again that lost a race for an id.
async fn bring(
    database: &Database,
    collection: &Collection,
    batch: &[(Id, RawDocumentBuf)],
    limit: Duration,
    refused: &mut Vec<Refused>,
) -> Result<()> {
    let mut waiting: Vec<&(Id, RawDocumentBuf)> = batch.iter().collect();
    for race in 1.. {
        let command = command(Verb::Update, name(collection), &waiting);
        let mut again = Vec::new();
        for (index, number) in carry_out(database, command, limit).await? {
            let statement = waiting.get(index).ok_or_else(unknown_statement)?;
            match number {
                code::DUPLICATE_KEY if race < RACES => again.push(*statement),
                number if fault::is_passing(number) => return Err(fault::gone()),
                number => refused.push(Refused {
                    id: statement.0,
                    code: Some(number),
                }),
            }
        }
        if again.is_empty() {
            break;
        }
        waiting = again;
    }
    Ok(())
}

/// The command that carries statements out, in any order. It is acknowledged when most servers have
/// them in the journal: what has arrived is not pending any more, and must be there after a crash.
fn command(verb: Verb, name: &str, statements: &[&(Id, RawDocumentBuf)]) -> RawDocumentBuf {
    let statements = statements.iter().map(|(_, statement)| &**statement);
    let statements: RawArrayBuf = statements.collect();
    let concern = rawdoc! { "w": "majority", "j": true };
    let mut command = match verb {
        Verb::Insert => rawdoc! { "insert": name, "documents": statements },
        Verb::Update => rawdoc! { "update": name, "updates": statements },
    };
    command.append(cstr!("ordered"), false);
    command.append(cstr!("writeConcern"), concern);
    command
}

/// What MongoDB is asked to do.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Insert,
    Update,
}

/// Which statements failed, by their place, and with which number.
fn failed(answer: &Document) -> Result<Vec<(usize, i32)>> {
    if let Ok(concern) = answer.get_document("writeConcernError") {
        let text = concern.get_str("errmsg").unwrap_or_default();
        tracing::debug!(text, "MongoDB did not bring it to most servers");
        return Err(fault::gone());
    }
    let Ok(errors) = answer.get_array("writeErrors") else {
        return Ok(Vec::new());
    };
    let read = errors.iter().map(|error| {
        let error = error.as_document()?;
        let index = usize::try_from(error.get_i32("index").ok()?).ok()?;
        Some((index, error.get_i32("code").ok()?))
    });
    read.collect::<Option<_>>()
        .ok_or_else(|| Error::internal("MongoDB's answer cannot be read"))
}

/// A document that MongoDB cannot hold.
struct Unfit;

impl From<stored::Unstorable> for Unfit {
    fn from(_: stored::Unstorable) -> Self {
        Self
    }
}

/// What a version leaves there.
fn replacement(
    collection: &Collection,
    shard: Option<(&Field, &Value)>,
    version: &Fresh<'_>,
    stamp: Stamp,
) -> std::result::Result<RawDocumentBuf, Unfit> {
    let replacement = match version.state {
        State::There(document) => {
            let stamp = Stamp {
                last_use: used(collection, document, stamp.last_use),
                ..stamp
            };
            stored::document(document, collection, stamp)?
        }
        State::Gone(_) => stored::tombstone(version.id, version.revision, shard, stamp)?,
    };
    match replacement.as_bytes().len() > MOST_OF_ONE {
        true => Err(Unfit),
        false => Ok(replacement),
    }
}

/// Replaces what is there by a version that is newer.
fn statement(
    collection: &Collection,
    is_sharded: bool,
    version: &Fresh<'_>,
    stamp: Stamp,
) -> std::result::Result<RawDocumentBuf, Unfit> {
    let shard = match is_sharded {
        true => shard(collection, version)?,
        false => None,
    };
    let replacement = replacement(collection, shard, version, stamp)?;
    // An end comes after the version that it ends.
    let older = match version.state {
        State::There(_) => cstr!("$lt"),
        State::Gone(_) => cstr!("$lte"),
    };
    // Nothing is there where the document is new, and no epoch where it is older than those.
    let epoch = rawdoc! { "$ifNull": ["$_epoch", 0_i64] };
    let revision = rawdoc! { "$ifNull": ["$_rev", -1_i64] };
    let is_of_earlier = rawdoc! { "$lt": [epoch.clone(), stamp.epoch] };
    let is_of_this = rawdoc! { "$eq": [epoch, stamp.epoch] };
    let mut is_older = RawDocumentBuf::new();
    is_older.append(older, {
        let mut operands = RawArrayBuf::new();
        operands.push(revision);
        operands.push(version.revision.number());
        operands
    });
    let is_older = match collection.is_alone() {
        true => is_older,
        false => rawdoc! { "$or": [is_of_earlier, { "$and": [is_of_this, is_older] }] },
    };
    let replaced = rawdoc! { "$replaceWith": { "$cond": [
        is_older,
        { "$literal": replacement },
        "$$ROOT",
    ] } };
    let mut place = stored::by_id(version.id);
    if let Some((field, value)) = shard {
        stored::add(&mut place, field, value)?;
    }
    Ok(rawdoc! { "q": place, "u": [replaced], "upsert": true })
}

/// What says where a document belongs on a cluster that spreads them by a field. The end of one of
/// which that is not known has no place there: elsewhere it would not hide the document from lists.
fn shard<'a>(
    collection: &'a Collection,
    version: &'a Fresh<'_>,
) -> std::result::Result<Option<(&'a Field, &'a Value)>, Unfit> {
    let tier = collection.tiers.recent.as_ref();
    let Some(field) = tier.and_then(|recent| recent.shard_key) else {
        return Ok(None);
    };
    match version.state {
        State::There(document) | State::Gone(Some(document)) => {
            Ok(Some((&collection.fields()[field], document.value(field))))
        }
        State::Gone(None) => Err(Unfit),
    }
}

/// When a document was last of use that is brought now. One that says it was created later is not
/// thrown out before its time.
fn used(collection: &Collection, document: &CoreDocument, now: Timestamp) -> Timestamp {
    match document.value(collection.created_at()) {
        Value::Timestamp(created) => now.max(*created),
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use nubo_core::{declare::CollectionDeclaration, field::Source, id::Revision, schema::Catalog};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_end_on_a_cluster_lies_where_the_document_did() {
        let declaration = json!({
            "name": "notes",
            "fields": { "by": { "type": "text", "required": true, "immutable": true } },
            "tiers": { "recent": { "shard_key": "by" } },
        });
        let declaration: CollectionDeclaration = serde_json::from_value(declaration).unwrap();
        let catalog = Catalog::compile(&[declaration], &[]).unwrap();
        let collection = catalog.named("notes").unwrap();
        let id = "00000000-0000-7000-8000-000000000001";
        let note = json!({ "id": id, "by": "me" });
        let note = collection.read_document(&note, Source::Json).unwrap();
        let stamp = Stamp {
            epoch: 1,
            last_use: Timestamp::from_millis(5),
        };
        let place = |is_sharded, state| {
            let end = Fresh {
                id: id.parse().unwrap(),
                revision: Revision::new(1),
                state,
            };
            let statement = statement(collection, is_sharded, &end, stamp).ok()?;
            let place = statement.get_document("q").unwrap();
            let names = place.iter_elements().map(|element| element.unwrap());
            let names = names.map(|element| element.key().to_string());
            Some(names.collect::<Vec<_>>().join(" "))
        };
        let known = || State::Gone(Some(&note));
        assert_eq!(place(true, known()).unwrap(), "_id by");
        assert_eq!(place(false, known()).unwrap(), "_id");
        assert_eq!(place(false, State::Gone(None)).unwrap(), "_id");
        assert_eq!(place(true, State::Gone(None)), None);
    }
}
