//! What a question found, whatever the driver.

use nubo_core::{Error, Result, document::Document, id::Id, schema::Collection};

/// Rows of a result.
pub(crate) trait Rows {
    /// How many there are.
    fn count(&self) -> usize;

    /// A number.
    fn integer(&self, row: usize, column: usize) -> Result<i64>;

    /// Bytes.
    fn blob(&self, row: usize, column: usize) -> Result<Vec<u8>>;

    /// A text.
    fn text(&self, row: usize, column: usize) -> Result<String>;

    /// A document from a row of all columns.
    fn document(&self, row: usize, collection: &Collection) -> Result<Document>;

    /// An id.
    fn id(&self, row: usize, column: usize) -> Result<Id>;

    /// The first row as a document, where there is one.
    fn first(&self, collection: &Collection) -> Result<Option<Document>> {
        match self.count() {
            0 => Ok(None),
            _ => self.document(0, collection).map(Some),
        }
    }

    /// All rows as documents.
    fn documents(&self, collection: &Collection) -> Result<Vec<Document>> {
        (0..self.count())
            .map(|row| self.document(row, collection))
            .collect()
    }
}

/// A result that has another form than its statement gives.
pub(crate) fn unexpected(what: &'static str) -> Error {
    Error::internal(format!("{what} was expected"))
}
