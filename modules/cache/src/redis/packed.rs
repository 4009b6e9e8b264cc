//! What is written into Redis, as bytes.
//!
//! Redis and its scripts compare bytes and nothing else, so a revision is eight bytes, most
//! significant first and with its sign turned round, and a version is a revision and whether the
//! document ended with it.

use std::sync::Arc;

use bytes::Bytes;
use nubo_core::{
    cache::{Held, SetName},
    id::{Id, Revision},
    observe::BatchId,
    packed::{read, read_length, split, take, write, write_length},
    position::Position,
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

/// The document that was packed so. None where the bytes are no document of this collection.
pub(super) fn read_document(
    bytes: Vec<u8>,
    collection: &Collection,
    cache: &CacheTier,
) -> Option<Arc<Held>> {
    let bytes = Bytes::from(bytes);
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

/// A coverage mark.
pub(super) fn mark(mark: &Mark) -> Vec<u8> {
    match mark {
        Mark::End => b"E".to_vec(),
        Mark::To(position) => [b"T", position.bytes()].concat(),
    }
}

pub(super) fn read_mark(bytes: &[u8]) -> Option<Mark> {
    match bytes.split_first()? {
        (b'E', []) => Some(Mark::End),
        (b'T', position) => Some(Mark::To(Position::from_bytes(position))),
        _ => None,
    }
}

/// The position of a member of a set's entries.
pub(super) fn read_member(bytes: &[u8]) -> Option<Position> {
    let length = bytes.len().checked_sub(REVISION)?;
    Some(Position::from_bytes(&bytes[..length]))
}

/// What an instance's record calls a document that one of its batches has announced.
pub(super) fn record_name(batch: BatchId, document: DocumentKey) -> Vec<u8> {
    let mut bytes = batch.0.to_be_bytes().to_vec();
    write_length(document.collection.index(), &mut bytes);
    bytes.extend_from_slice(document.id.uuid().as_bytes());
    bytes
}

/// What is written there: where it was about to stand.
pub(super) fn record(places: &[Place]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Place { set, position } in places {
        write_length(set.collection.index(), &mut bytes);
        write_length(usize::from(set.set), &mut bytes);
        for part in [&set.values, position.bytes()] {
            write_length(part.len(), &mut bytes);
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// What a name and an entry of an instance's record say.
pub(super) fn read_record(
    mut name: &[u8],
    mut entry: &[u8],
    catalog: &Catalog,
) -> Option<(BatchId, DocumentKey, Vec<Place>)> {
    let batch = BatchId(u64::from_be_bytes(take(&mut name)?));
    let document = DocumentKey {
        collection: collection_at(catalog, read_length(&mut name)?)?,
        id: Id::from_uuid(Uuid::from_bytes(name.try_into().ok()?)),
    };
    let mut places = Vec::new();
    while !entry.is_empty() {
        let collection = collection_at(catalog, read_length(&mut entry)?)?;
        let set = u16::try_from(read_length(&mut entry)?).ok()?;
        let values = read_part(&mut entry)?.into();
        let position = Position::from_bytes(read_part(&mut entry)?);
        let set = SetName {
            collection,
            set,
            values,
        };
        places.push(Place { set, position });
    }
    Some((batch, document, places))
}

fn read_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = read_length(bytes)?;
    split(bytes, length)
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
        let document = DocumentKey {
            collection: catalog.collections()[1].id,
            id: Id::from_uuid(Uuid::from_u128(7)),
        };
        let place = |values: &[u8]| Place {
            set: SetName {
                collection: document.collection,
                set: 300,
                values: values.into(),
            },
            position: Position::from_bytes(&[values, &[0; 200]].concat()),
        };
        for places in [
            vec![],
            vec![place(b"")],
            vec![place(b"a"), place(&[0x80; 300])],
        ] {
            let name = record_name(BatchId(u64::MAX), document);
            let entry = record(&places);
            let read = read_record(&name, &entry, &catalog);
            assert_eq!(read, Some((BatchId(u64::MAX), document, places)));
            for cut in 1..entry.len() {
                let read = read_record(&name, &entry[..cut], &catalog);
                assert_ne!(
                    read.map(|(.., places)| record(&places)),
                    Some(entry.clone())
                );
            }
        }
    }

    #[test]
    fn bytes_that_are_no_document_are_none() {
        for collection in catalog().collections() {
            let cache = collection.tiers.cache.as_ref().unwrap();
            for bytes in [&b""[..], b"1234567", b"12345678", b"12345678{}"] {
                assert!(read_document(bytes.to_vec(), collection, cache).is_none());
            }
        }
    }
}
