//! What a driver lets the migrations do.

use async_trait::async_trait;
use nubo_core::{module::SetupError, schema::Catalog, time::Timestamp};

use super::{
    difference::{Change, Convert},
    model::Schema,
    script::Block,
};
use crate::sql::Dialect;

/// A migration that has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub number: u32,
    pub name: String,
    pub checksum: String,
}

/// What is worth knowing of a database.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What it is, with its version.
    pub version: String,
    /// Whether what it acknowledges survives the machine.
    pub is_durable: bool,
    /// Whether the connection is encrypted; none where there is no network.
    pub is_encrypted: Option<bool>,
    /// How many connections it takes, and how many of them are in use; none where that is no
    /// matter.
    pub connections: Option<(u32, u32)>,
    /// What an import has dropped to be faster.
    pub dropped_indexes: DroppedIndexes,
    /// What is acknowledged and not carried out.
    pub queued: Queued,
}

/// What is acknowledged and not carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queued {
    /// How many writes wait.
    pub waiting: u64,
    /// Since when the first of them does.
    pub since: Option<Timestamp>,
    /// How many were refused.
    pub dead_letters: u64,
}

impl Queued {
    /// The question that [`Queued::read`] reads the answer of.
    pub(crate) fn question<D: Dialect>() -> String {
        let (queue, dead_letters) = (D::QUEUE, D::DEAD_LETTERS);
        format!(
            "SELECT (SELECT count(*) FROM {queue}) || ' ' || \
             coalesce((SELECT queued_at FROM {queue} ORDER BY number LIMIT 1), 0) || ' ' || \
             (SELECT count(*) FROM {dead_letters})"
        )
    }

    pub(crate) fn read(answer: &str) -> Self {
        let mut numbers = answer.split(' ').map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        let (waiting, since, dead_letters) = (next(), next(), next());
        Self {
            waiting,
            since: (waiting > 0).then(|| Timestamp::from_millis(since.cast_signed())),
            dead_letters,
        }
    }
}

/// Indexes that an import has dropped and not built again yet.
#[derive(Debug, Clone, Default)]
pub struct DroppedIndexes {
    /// Their names, with the schema.
    pub names: Vec<String>,
    /// Whether that import is still under way. If not, it has died.
    pub is_under_way: bool,
}

impl DroppedIndexes {
    /// What to say of those that an import has left behind, if there are any.
    pub fn left_behind(&self) -> Option<String> {
        let is_left = !self.is_under_way && !self.names.is_empty();
        is_left.then(|| {
            format!(
                "an import that was killed has left indexes dropped: {}",
                self.names.join(", ")
            )
        })
    }
}

/// What differs between databases, and needs none to be asked.
#[derive(Clone, Copy)]
pub(crate) struct Language {
    /// The folder of its migrations.
    pub folder: &'static str,
    /// What a catalog wants.
    pub declared: fn(&Catalog) -> Schema,
    /// How values of columns are converted.
    pub convert: Convert,
    /// Changes as SQL, from a schema on.
    pub blocks: fn(&Schema, &[Change]) -> Vec<Block>,
    /// What a reader of its files should know.
    pub remark: Option<&'static str>,
}

/// A connection to a database whose schema is looked at and changed.
#[async_trait]
pub(crate) trait Database: Send {
    /// What it understands.
    fn language(&self) -> Language;

    /// What it has. Names of collections and fields are guessed from those of tables and columns.
    async fn schema(&mut self) -> Result<Schema, SetupError>;

    /// Begins a transaction that nobody else's migration runs beside.
    async fn begin(&mut self) -> Result<(), SetupError>;

    /// Ends it: everything that was done counts.
    async fn commit(&mut self) -> Result<(), SetupError>;

    /// Ends it: nothing that was done counts.
    async fn rollback(&mut self) -> Result<(), SetupError>;

    /// Executes SQL.
    async fn execute(&mut self, sql: String) -> Result<(), SetupError>;

    /// The first text that a question finds.
    async fn text(&mut self, question: String) -> Result<Option<String>, SetupError>;

    /// What is wrong with references, which are not guarded meanwhile.
    async fn broken(&mut self) -> Result<Option<String>, SetupError>;

    /// The migrations that have been applied, by number.
    async fn history(&mut self) -> Result<Vec<Applied>, SetupError>;

    /// Notes that a migration has been applied.
    async fn record(&mut self, applied: &Applied) -> Result<(), SetupError>;

    /// Notes that a migration has been taken back.
    async fn forget(&mut self, number: u32) -> Result<(), SetupError>;

    /// What is worth knowing of it.
    async fn facts(&mut self) -> Result<Facts, SetupError>;

    /// Closes the connection.
    async fn close(self: Box<Self>);
}
