//! What an epoch is divided into where its keys lie on several servers.
//!
//! A cluster of Redis spreads keys over [slots](SLOTS), and what is done in one step must lie in one
//! slot. So the keys of an epoch lie in *partitions*: each has a key of its own that says that the
//! epoch is there, records, fences and a stamp, and keeps the same promises alone. A document's
//! partition follows from its id, that of a set from its name. On a server of its own there is one
//! partition, which has everything.
//!
//! Redis takes what stands in the first braces of a key for the whole key. A partition's tag, which
//! stands there, is a number whose slot lies in the partition's share of all slots: servers that have
//! equally many slots have equally many partitions.
//! <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model>

use nubo_core::cache::SetName;

use crate::storage::DocumentKey;

/// How many slots a cluster has.
pub(super) const SLOTS: u16 = 16_384;
/// How many partitions an epoch has on a cluster. Whoever uses it must know as many.
pub(super) const ON_CLUSTERS: u16 = 64;

/// One partition of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Partition(u16);

impl Partition {
    /// The one that has what there is once in an epoch: the pending lists.
    pub const FIRST: Self = Self(0);

    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How many partitions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partitions(u16);

impl Partitions {
    /// Everything in one.
    pub const ONE: Self = Self(1);

    /// So many, one at least.
    pub const fn new(count: u16) -> Self {
        Self(if count == 0 { 1 } else { count })
    }

    pub fn all(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition)
    }

    pub fn are_several(self) -> bool {
        self.0 > 1
    }

    /// Where a document is.
    pub fn of_document(self, document: DocumentKey) -> Partition {
        self.pick(|hash| hash.add(document.id.uuid().as_bytes()))
    }

    /// Where a set is.
    pub fn of_set(self, set: &SetName) -> Partition {
        self.pick(|hash| {
            let collection = set.collection.index().to_le_bytes();
            let hash = hash.add(&collection).add(&set.set.to_le_bytes());
            hash.add(&set.values)
        })
    }

    fn pick(self, name: impl FnOnce(Crc) -> Crc) -> Partition {
        match self.are_several() {
            true => Partition(name(Crc(0)).0 % self.0),
            false => Partition::FIRST,
        }
    }

    /// The tag of each, and its slot.
    pub fn tags(self) -> Vec<(String, u16)> {
        let mut tags = vec![None; usize::from(self.0)];
        let mut missing = tags.len();
        for number in 0_u32.. {
            if missing == 0 {
                break;
            }
            let tag = number.to_string();
            let slot = slot(tag.as_bytes());
            let share = u32::from(slot) * u32::from(self.0) / u32::from(SLOTS);
            if let Some(known @ None) = tags.get_mut(share as usize) {
                *known = Some((tag, slot));
                missing -= 1;
            }
        }
        tags.into_iter().flatten().collect()
    }
}

/// The slot of a key.
pub(crate) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let behind = &key[open + 1..];
        let length = behind.iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &behind[..length])
    });
    Crc(0).add(tag.unwrap_or(key)).0 % SLOTS
}

/// What Redis tells keys apart by: CRC16 as XMODEM has it.
#[derive(Clone, Copy)]
struct Crc(u16);

impl Crc {
    fn add(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |crc, byte| {
            crc << 8 ^ TABLE[usize::from((crc >> 8) as u8 ^ *byte)]
        }))
    }
}

/// What each byte does.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_that_redis_says() {
        // The first is the example of the specification, the others are what `CLUSTER KEYSLOT` says.
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"a{foo}b{bar}"), 12182);
        assert_eq!(slot(b"foo{}{bar}"), slot(b"foo{}{bar}"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"{foo"), Crc(0).add(b"{foo").0 % SLOTS);
    }

    #[test]
    fn each_partition_has_its_share_of_the_slots() {
        for count in [1, 3, ON_CLUSTERS] {
            let tags = Partitions::new(count).tags();
            assert_eq!(tags.len(), usize::from(count));
            for (share, (tag, slot)) in (0..).zip(tags) {
                assert_eq!(super::slot(tag.as_bytes()), slot);
                assert_eq!(u32::from(slot) * u32::from(count) / 16_384, share);
            }
        }
    }
}
