//! What is written into Redis, as bytes.
//!
//! Redis and its scripts compare bytes and nothing else, so a revision is eight bytes, most
//! significant first and with its sign turned round, and a version is a revision and whether the
//! document ended with it.

use std::sync::Arc;

use bytes::Bytes;
use nubo_core::{
    cache::{Held, SetName},
    coordination::Epoch,
    id::{Id, Revision},
    observe::BatchId,
    packed::{read, read_length, split, take, write, write_length},
    position::Position,
    recent::{Claim, Condition},
    record::Version,
    schema::{CacheTier, Catalog, Collection},
};
use uuid::Uuid;

use super::keys::collection_at;
use crate::{
    sets::Mark,
    storage::{DocumentKey, Place},
};

/// Bytes of a revision.
const REVISION: usize = 8;
/// Bytes of a record's name.
const NAME: usize = 28;
/// Bytes of a stamp.
const STAMP: usize = 16;

/// A revision as bytes that compare as it does.
pub(super) fn revision(revision: Revision) -> [u8; REVISION] {
    (revision.number() ^ i64::MIN).to_be_bytes()
}

/// A version as bytes that compare as it does.
pub(super) fn version(version: Version) -> Vec<u8> {
    let mut bytes = revision(version.revision).to_vec();
    bytes.push(u8::from(version.gone));
    bytes
}

/// The token of a batch, which no batch of another instance has.
pub(super) fn batch(instance: Id, batch: BatchId) -> Vec<u8> {
    [instance.uuid().as_bytes(), &batch.0.to_be_bytes()[..]].concat()
}

/// A claim: the token of the batch, and the document's id.
pub(super) fn claim(claim: &Claim) -> Vec<u8> {
    [
        &batch(claim.instance, claim.batch)[..],
        claim.id.uuid().as_bytes(),
    ]
    .concat()
}

/// An epoch of the recent tier.
pub(super) fn epoch(epoch: Epoch) -> Vec<u8> {
    [&epoch.number.to_be_bytes()[..], &epoch.nonce.to_be_bytes()].concat()
}

/// What the state of the pending lists says.
pub(super) fn read_lists(mut state: &[u8]) -> Option<Condition> {
    let [stage] = take(&mut state)?;
    let epoch = Epoch {
        number: u64::from_be_bytes(take(&mut state)?),
        nonce: u32::from_be_bytes(take(&mut state)?),
    };
    match stage {
        b'B' => Some(Condition::Begun(epoch)),
        b'O' if state.is_empty() => Some(Condition::Open(epoch)),
        _ => None,
    }
}

/// Ids, one behind the other.
pub(super) fn read_ids(bytes: &[u8]) -> Option<Vec<Id>> {
    let (ids, []) = bytes.as_chunks() else {
        return None;
    };
    let id = |bytes: &[u8; 16]| Id::from_uuid(Uuid::from_bytes(*bytes));
    Some(ids.iter().map(id).collect())
}

/// A document: its revision, what questions ask about unless its JSON says that, and its JSON.
pub(super) fn document(held: &Held, cache: &CacheTier) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REVISION + held.json.len() + 64);
    bytes.extend_from_slice(&revision(held.revision));
    if !cache.read_back {
        for value in held.excerpt.values() {
            write(value, &mut bytes);
        }
    }
    bytes.extend_from_slice(&held.json);
    bytes
}

/// What is there of a document.
pub(super) enum Slot {
    /// It is held.
    Held(Arc<Held>),
    /// A reader has missed it and left this token.
    Missing(u64),
    /// Some batch is about to change it.
    Busy,
}

/// Whether a document is held for as long as nobody changes it.
pub(super) fn lasts(slot: &[u8]) -> bool {
    slot.first() == Some(&b'H')
}

/// What is there of a document, as `library.lua` says. None where the bytes say nothing of the kind.
pub(super) fn read_slot(
    bytes: Vec<u8>,
    collection: &Collection,
    cache: &CacheTier,
) -> Option<Slot> {
    match bytes.first()? {
        b'H' | b'L' => {
            let packed = Bytes::from(bytes).slice(1..);
            read_document(&packed, collection, cache).map(Slot::Held)
        }
        b'F' => {
            let number = str::from_utf8(&bytes[1..]).ok()?;
            number.parse().ok().map(Slot::Missing)
        }
        b'B' => Some(Slot::Busy),
        _ => None,
    }
}

/// The document that was packed so. None where the bytes are no document of this collection.
fn read_document(bytes: &Bytes, collection: &Collection, cache: &CacheTier) -> Option<Arc<Held>> {
    let mut rest = &bytes[..];
    let revision = read_revision(&mut rest)?;
    let packed = match cache.read_back {
        true => None,
        false => {
            let values = cache.excerpts.fields().iter();
            let values: Option<Vec<_>> = values.map(|_| read(&mut rest)).collect();
            Some(cache.excerpts.from_values(values?))
        }
    };
    let json = bytes.slice_ref(rest);
    let excerpt = match packed {
        Some(excerpt) => excerpt,
        None => collection.read_excerpt(&cache.excerpts, &json).ok()?,
    };
    Some(Arc::new(Held {
        json,
        revision,
        excerpt,
    }))
}

/// What a coverage mark says.
pub(super) fn mark(mark: &Mark) -> Vec<u8> {
    match mark {
        Mark::End => b"E".to_vec(),
        Mark::To(position) => [b"T", position.bytes()].concat(),
    }
}

/// A coverage mark, which begins with its stamp.
pub(super) fn read_mark(bytes: &[u8]) -> Option<Mark> {
    match bytes.get(STAMP..)?.split_first()? {
        (b'E', []) => Some(Mark::End),
        (b'T', position) => Some(Mark::To(Position::from_bytes(position))),
        _ => None,
    }
}

/// A member of a set's entries.
pub(super) fn entry(position: &Position, revision: Revision) -> Vec<u8> {
    [position.bytes(), &self::revision(revision)].concat()
}

/// The position of a member of a set's entries.
pub(super) fn read_member(bytes: &[u8]) -> Option<Position> {
    let length = bytes.len().checked_sub(REVISION)?;
    Some(Position::from_bytes(&bytes[..length]))
}

/// What a record is called: the token of the batch, and which of its records it is.
pub(super) fn record_name(instance: Id, batch: BatchId, number: u32) -> Vec<u8> {
    [&self::batch(instance, batch)[..], &number.to_be_bytes()].concat()
}

/// The names of records, one behind the other.
pub(super) fn read_record_names(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (names, []) = bytes.as_chunks::<NAME>() else {
        return None;
    };
    Some(names.iter().map(|name| name.to_vec()).collect())
}

/// The instance and the batch of a record with this name.
pub(super) fn read_record_name(mut name: &[u8]) -> Option<(Id, BatchId)> {
    let instance = Id::from_uuid(Uuid::from_bytes(take(&mut name)?));
    let batch = BatchId(u64::from_be_bytes(take(&mut name)?));
    let _number: [u8; 4] = take(&mut name)?;
    name.is_empty().then_some((instance, batch))
}

/// What a batch has announced in a partition: the documents there, for who takes it back, and where
/// documents are about to stand there, which `begin.lua` reads.
#[derive(Default)]
pub(super) struct Record {
    documents: Vec<u8>,
    places: Vec<u8>,
}

impl Record {
    /// Puts a document down.
    pub fn add_document(&mut self, document: DocumentKey) {
        write_length(document.collection.index(), &mut self.documents);
        self.documents
            .extend_from_slice(document.id.uuid().as_bytes());
    }

    /// Puts down where a document will stand. None where it is beyond all bounds.
    pub fn add_place(&mut self, place: &Place, revision: Revision, is_new: bool) -> Option<()> {
        for part in [&set_name(&place.set)[..], place.position.bytes()] {
            let length = u32::try_from(part.len()).ok()?;
            self.places.extend_from_slice(&length.to_be_bytes());
            self.places.extend_from_slice(part);
        }
        self.places.extend_from_slice(&self::revision(revision));
        self.places.push(u8::from(is_new));
        Some(())
    }

    /// The record as it is written.
    pub fn bytes(self) -> Option<Vec<u8>> {
        let length = u32::try_from(self.documents.len()).ok()?;
        Some([&length.to_be_bytes()[..], &self.documents, &self.places].concat())
    }
}

/// What records call a set.
pub(super) fn set_name(set: &SetName) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(set.values.len() + 4);
    write_length(set.collection.index(), &mut bytes);
    write_length(usize::from(set.set), &mut bytes);
    bytes.extend_from_slice(&set.values);
    bytes
}

/// The documents of a record.
pub(super) fn read_record(mut record: &[u8], catalog: &Catalog) -> Option<Vec<DocumentKey>> {
    let length = u32::from_be_bytes(take(&mut record)?);
    let mut rest = split(&mut record, usize::try_from(length).ok()?)?;
    let mut documents = Vec::new();
    while !rest.is_empty() {
        documents.push(DocumentKey {
            collection: collection_at(catalog, read_length(&mut rest)?)?,
            id: Id::from_uuid(Uuid::from_bytes(take(&mut rest)?)),
        });
    }
    Some(documents)
}

fn read_revision(bytes: &mut &[u8]) -> Option<Revision> {
    let number = i64::from_be_bytes(take(bytes)?);
    Some(Revision::new(number ^ i64::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage_tests::catalog;

    #[test]
    fn bytes_compare_as_versions_do() {
        let numbers = [i64::MIN, -256, -1, 0, 1, 255, 1 << 53, i64::MAX];
        let versions = numbers.map(Revision::new).map(|revision| {
            let version = [Version::there(revision), Version::gone(revision)];
            version.map(self::version)
        });
        assert!(versions.as_flattened().is_sorted_by(|a, b| a < b));
        for number in numbers.map(Revision::new) {
            let bytes = revision(number);
            assert_eq!(read_revision(&mut &bytes[..]), Some(number));
        }
    }

    #[test]
    fn records_come_back() {
        let catalog = catalog();
        let collection = catalog.collections()[1].id;
        let document = |number| DocumentKey {
            collection,
            id: Id::from_uuid(Uuid::from_u128(number)),
        };
        let place = |values: &[u8]| Place {
            set: SetName {
                collection,
                set: 300,
                values: values.into(),
            },
            position: Position::from_bytes(&[values, &[0; 200]].concat()),
        };
        let places = [
            vec![],
            vec![place(b"")],
            vec![place(b"a"), place(&[0x80; 300])],
        ];
        let mut record = Record::default();
        for (number, places) in (0..).zip(places) {
            record.add_document(document(number));
            for place in &places {
                record.add_place(place, Revision::new(7), false).unwrap();
            }
        }
        let record = record.bytes().unwrap();
        let documents: Vec<_> = (0..3).map(document).collect();
        assert_eq!(read_record(&record, &catalog), Some(documents));
        assert_eq!(read_record(&record[..20], &catalog), None);

        let (instance, batch) = (Id::from_uuid(Uuid::from_u128(9)), BatchId(u64::MAX));
        let name = record_name(instance, batch, 3);
        assert_eq!(read_record_name(&name), Some((instance, batch)));
        assert_eq!(read_record_name(&name[1..]), None);
    }

    #[test]
    fn bytes_that_are_no_document_are_none() {
        for collection in catalog().collections() {
            let cache = collection.tiers.cache.as_ref().unwrap();
            for bytes in [
                &b""[..],
                b"H",
                b"H1234567",
                b"L12345678{}",
                b"F",
                b"Fx",
                b"X",
                b"h",
            ] {
                assert!(read_slot(bytes.to_vec(), collection, cache).is_none());
            }
        }
    }
}
