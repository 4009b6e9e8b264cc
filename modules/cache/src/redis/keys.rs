//! What the keys in Redis are called. Nothing else puts names together.
//!
//! | key | what is there |
//! |---|---|
//! | `{prefix}{epoch}` | the epoch itself: a number from which its tokens are counted |
//! | `{prefix}{epoch}:d:{collection}:{id}` | what is known of a document |
//! | `…:e:{collection}:{set}:{values}` | the entries of a set |
//! | `…:m:…`, `…:b:…` | its coverage mark, its build tokens |
//! | `…:g` | its stamp, where it has one |
//! | `…:a` | the records: what was announced and is not settled, a hash |
//! | `…:w` | the state of the pending lists, where they are kept |
//! | `…:p:{collection}` | a pending list: of each document its claims, a hash |
//! | `…:x:{instance}` | there once the instance is fenced |
//!
//! Collections and sets are numbers, their places; ids and values are bytes. Where an epoch has several
//! [partitions](super::partitions), the tag of the key's own stands behind the epoch, in braces:
//! `{prefix}{epoch}{12}:d:…`.

use std::sync::Arc;

use nubo_core::{
    cache::SetName,
    coordination::Epoch,
    id::Id,
    schema::{Catalog, CollectionId},
};
use uuid::Uuid;

use super::partitions::{Partition, Partitions};
use crate::storage::DocumentKey;

/// Bytes of an id.
const ID: usize = 16;
/// How many tokens each of several partitions may give out before it comes to those of the next.
const TOKENS: u64 = 1 << 34;

/// The names of one epoch's keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    of: Epoch,
    /// What all of them begin with.
    name: Vec<u8>,
    count: Partitions,
    partitions: Arc<[Names]>,
}

/// The names of one partition's keys.
#[derive(Debug)]
struct Names {
    /// Its key for the epoch.
    epoch: Vec<u8>,
    slot: u16,
}

impl Keys {
    pub fn new(prefix: &str, epoch: Epoch, count: Partitions) -> Self {
        let name = format!("{prefix}{epoch}");
        let names = |(tag, slot): (String, u16)| Names {
            epoch: match count.are_several() {
                true => format!("{name}{{{tag}}}").into_bytes(),
                false => name.clone().into_bytes(),
            },
            slot,
        };
        Self {
            of: epoch,
            partitions: count.tags().into_iter().map(names).collect(),
            count,
            name: name.into_bytes(),
        }
    }

    /// Which epoch's they are.
    pub fn of(&self) -> Epoch {
        self.of
    }

    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        self.count.all()
    }

    /// Whether there are several partitions.
    pub fn are_divided(&self) -> bool {
        self.count.are_several()
    }

    /// The slot of a partition's keys on a cluster.
    pub fn slot(&self, partition: Partition) -> u16 {
        self.names(partition).slot
    }

    /// The partition of a document.
    pub fn home(&self, document: DocumentKey) -> Partition {
        self.count.of_document(document)
    }

    /// The partition of a set.
    pub fn home_of_set(&self, set: &SetName) -> Partition {
        self.count.of_set(set)
    }

    /// The key that is there as long as the epoch is.
    pub fn epoch(&self, partition: Partition) -> Vec<u8> {
        self.names(partition).epoch.clone()
    }

    /// What is there at first: a number from which a partition counts tokens that no other gives out.
    pub fn first_token(partition: Partition) -> u64 {
        partition.index() as u64 * TOKENS
    }

    pub fn document(&self, document: DocumentKey) -> Vec<u8> {
        let mut key = self.begun(self.home(document), Kind::Document, ID + 6);
        push_number(&mut key, document.collection.index());
        key.extend_from_slice(document.id.uuid().as_bytes());
        key
    }

    /// The keys of a set, as scripts take them.
    pub fn set(&self, set: &SetName) -> [Vec<u8>; 3] {
        let home = self.home_of_set(set);
        [Kind::Entries, Kind::Mark, Kind::Builders].map(|kind| self.of_set(home, kind, set))
    }

    /// The key of a set's entries.
    pub fn entries(&self, set: &SetName) -> Vec<u8> {
        self.of_set(self.home_of_set(set), Kind::Entries, set)
    }

    /// The key of a set's build tokens.
    pub fn builders(&self, set: &SetName) -> Vec<u8> {
        self.of_set(self.home_of_set(set), Kind::Builders, set)
    }

    /// The keys of a set that say what stands in it.
    pub fn contents(&self, set: &SetName) -> [Vec<u8>; 2] {
        let home = self.home_of_set(set);
        [Kind::Entries, Kind::Mark].map(|kind| self.of_set(home, kind, set))
    }

    pub fn stamp(&self, partition: Partition) -> Vec<u8> {
        self.only(partition, Kind::Stamp)
    }

    pub fn records(&self, partition: Partition) -> Vec<u8> {
        self.only(partition, Kind::Records)
    }

    /// The key of the state of the pending lists, which lie in the first partition.
    pub fn lists(&self) -> Vec<u8> {
        self.only(Partition::FIRST, Kind::Lists)
    }

    /// The key of a collection's pending list.
    pub fn pending(&self, collection: CollectionId) -> Vec<u8> {
        let mut key = self.begun(Partition::FIRST, Kind::Pending, 6);
        push_number(&mut key, collection.index());
        key.pop();
        key
    }

    /// The key of something of which there is one.
    fn only(&self, partition: Partition, kind: Kind) -> Vec<u8> {
        let mut key = self.begun(partition, kind, 0);
        key.pop();
        key
    }

    /// The key of a set's mark.
    pub fn mark(&self, set: &SetName) -> Vec<u8> {
        self.of_set(self.home_of_set(set), Kind::Mark, set)
    }

    pub fn fence(&self, partition: Partition, instance: Id) -> Vec<u8> {
        let mut key = self.begun(partition, Kind::Fence, 36);
        key.extend_from_slice(instance.to_string().as_bytes());
        key
    }

    /// A pattern for all keys of the epoch but its own.
    pub fn pattern(&self) -> Vec<u8> {
        let mut pattern = escaped(&self.name);
        if self.are_divided() {
            pattern.extend_from_slice(b"{*}");
        }
        pattern.extend_from_slice(b":*");
        pattern
    }

    fn names(&self, partition: Partition) -> &Names {
        &self.partitions[partition.index()]
    }

    fn of_set(&self, home: Partition, kind: Kind, set: &SetName) -> Vec<u8> {
        let mut key = self.begun(home, kind, set.values.len() + 12);
        push_number(&mut key, set.collection.index());
        push_number(&mut key, usize::from(set.set));
        key.extend_from_slice(&set.values);
        key
    }

    fn begun(&self, partition: Partition, kind: Kind, room: usize) -> Vec<u8> {
        let epoch = &self.names(partition).epoch;
        let mut key = Vec::with_capacity(epoch.len() + 3 + room);
        key.extend_from_slice(epoch);
        key.extend_from_slice(&[b':', kind as u8, b':']);
        key
    }
}

fn push_number(key: &mut Vec<u8>, number: usize) {
    key.extend_from_slice(number.to_string().as_bytes());
    key.push(b':');
}

/// What a key is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Document = b'd',
    Entries = b'e',
    Mark = b'm',
    Builders = b'b',
    Stamp = b'g',
    Records = b'a',
    Lists = b'w',
    Pending = b'p',
    Fence = b'x',
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Document,
        Self::Entries,
        Self::Mark,
        Self::Builders,
        Self::Stamp,
        Self::Records,
        Self::Lists,
        Self::Pending,
        Self::Fence,
    ];
}

/// A key that was found, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub epoch: Epoch,
    /// None where it is the epoch's own key, or one of those.
    pub part: Option<(Kind, &'a [u8])>,
}

impl<'a> Found<'a> {
    /// What a key is of. None where it is none of those above.
    pub fn parse(prefix: &str, key: &'a [u8]) -> Option<Self> {
        let rest = key.strip_prefix(prefix.as_bytes())?;
        let (epoch, part) = match rest.iter().position(|byte| *byte == b':') {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let epoch = str::from_utf8(epoch).ok()?;
        let epoch = match epoch.strip_suffix('}') {
            Some(tagged) => {
                let (epoch, tag) = tagged.split_once('{')?;
                tag.parse::<u32>().ok()?;
                epoch
            }
            None => epoch,
        };
        let epoch = parse_epoch(epoch)?;
        let Some(part) = part else {
            return Some(Self { epoch, part: None });
        };
        let (kind, name) = match part {
            [kind] => (kind, &[][..]),
            [kind, b':', name @ ..] => (kind, name),
            _ => return None,
        };
        let kind = Kind::ALL.into_iter().find(|own| *own as u8 == *kind)?;
        Some(Self {
            epoch,
            part: Some((kind, name)),
        })
    }

    /// The set, where it is a key of one.
    pub fn set(&self, catalog: &Catalog) -> Option<SetName> {
        use Kind::{Builders, Entries, Mark};
        let (Entries | Mark | Builders, name) = self.part? else {
            return None;
        };
        let (collection, name) = split_number(name)?;
        let (set, values) = split_number(name)?;
        Some(SetName {
            collection: collection_at(catalog, collection)?,
            set: u16::try_from(set).ok()?,
            values: values.into(),
        })
    }

    /// The document, where it is a key of one.
    pub fn document(&self, catalog: &Catalog) -> Option<DocumentKey> {
        let (Kind::Document, name) = self.part? else {
            return None;
        };
        let (collection, id) = split_number(name)?;
        Some(DocumentKey {
            collection: collection_at(catalog, collection)?,
            id: Id::from_uuid(Uuid::from_bytes(id.try_into().ok()?)),
        })
    }
}

/// A pattern for all keys with a prefix.
pub(super) fn pattern_of_all(prefix: &str) -> Vec<u8> {
    let mut pattern = escaped(prefix.as_bytes());
    pattern.push(b'*');
    pattern
}

/// The collection at a place.
pub(super) fn collection_at(catalog: &Catalog, place: usize) -> Option<CollectionId> {
    Some(catalog.collections().get(place)?.id)
}

fn parse_epoch(text: &str) -> Option<Epoch> {
    let (number, nonce) = text.split_once('-')?;
    let epoch = Epoch {
        number: number.parse().ok()?,
        nonce: u32::from_str_radix(nonce, 16).ok()?,
    };
    // Other spellings of it are not ours.
    (epoch.to_string() == text).then_some(epoch)
}

fn split_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b':')?;
    let number = str::from_utf8(&bytes[..at]).ok()?.parse().ok()?;
    Some((number, &bytes[at + 1..]))
}

/// Text that a pattern of Redis takes as it is.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(text.len());
    for byte in text {
        if b"\\*?[]^-".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{redis::partitions::slot, storage_tests::catalog};

    #[test]
    fn keys_are_taken_apart() {
        let catalog = catalog();
        let epoch = Epoch {
            number: 7,
            nonce: 0xab,
        };
        for count in [1, 64] {
            are_taken_apart(
                &catalog,
                epoch,
                &Keys::new("a:b*", epoch, Partitions::new(count)),
            );
        }
    }

    fn are_taken_apart(catalog: &Catalog, epoch: Epoch, keys: &Keys) {
        let collection = catalog.collections()[0].id;
        let document = DocumentKey {
            collection,
            id: Id::from_uuid(Uuid::from_bytes(*b":::::d:1:::::::t")),
        };
        for (key, kind, expected) in [
            (keys.document(document), Kind::Document, Some(document)),
            (keys.records(Partition::FIRST), Kind::Records, None),
            (keys.lists(), Kind::Lists, None),
            (keys.pending(collection), Kind::Pending, None),
        ] {
            let found = Found::parse("a:b*", &key).unwrap();
            assert_eq!((found.epoch, found.part.unwrap().0), (epoch, kind));
            assert_eq!(found.document(catalog), expected);
            assert_eq!(found.set(catalog), None);
        }
        let set = SetName {
            collection,
            set: 1,
            values: b":1:\0".as_slice().into(),
        };
        for key in keys.set(&set) {
            let found = Found::parse("a:b*", &key).unwrap();
            assert_eq!(found.set(catalog), Some(set.clone()));
        }
        for partition in keys.partitions() {
            let own = keys.epoch(partition);
            let found = Found::parse("a:b*", &own).unwrap();
            assert_eq!(found, Found { epoch, part: None });
            if keys.are_divided() {
                for key in [
                    own,
                    keys.stamp(partition),
                    keys.fence(partition, document.id),
                ] {
                    assert_eq!(slot(&key), keys.slot(partition));
                }
            }
        }
        if keys.are_divided() {
            assert_eq!(
                slot(&keys.document(document)),
                keys.slot(keys.home(document))
            );
            for key in keys.set(&set) {
                assert_eq!(slot(&key), keys.slot(keys.home_of_set(&set)));
            }
        }
    }

    #[test]
    fn keys_of_others_are_no_keys() {
        for key in [
            "x:7-000000ab",
            "c:7",
            "c:7-ab",
            "c:07-000000ab",
            "c:bus",
            "c:7-000000ab:q:1",
            "c:7-000000ab{x}:a",
            "c:7-000000ab{1:a",
            "c:7-000000ab1}:a",
        ] {
            assert_eq!(Found::parse("c:", key.as_bytes()), None, "{key}");
        }
        assert_eq!(pattern_of_all("a*[b]"), br"a\*\[b\]*");
    }
}
