//! What the cache keeps of a collection.

use crate::record::Excerpts;

/// What the cache keeps of a collection: documents, and sets of them in the collection's order.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheTier {
    /// Fields by whose values sets are kept, each list in the order of the fields. The first is
    /// empty: the set of all documents. Empty altogether where the collection's order has no binary
    /// form; then there are documents alone.
    pub sets: Vec<Vec<usize>>,
    /// The values that stay beside a document's bytes: what sets, the order and access rules ask
    /// about.
    pub excerpts: Excerpts,
    /// Whether excerpts can be read from what is sent.
    pub read_back: bool,
    /// How long a document stays, in milliseconds.
    pub expires: Option<i64>,
}
