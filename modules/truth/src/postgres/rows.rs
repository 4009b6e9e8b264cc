//! Asking over a connection, and what comes back.

use std::sync::Arc;

use futures_util::TryStreamExt;
use nubo_core::{
    Error, Result,
    document::{Document, write_fields},
    id::{Id, Revision},
    query::Query,
    schema::Collection,
    truth::{Body, Page},
    value::Value,
};
use sqlx::{
    AssertSqlSafe, Executor, PgConnection, Row,
    encode::{Encode, IsNull},
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, types::Oid},
};
use uuid::Uuid;

use crate::{
    fault::postgres_failure,
    rows::{Rows, unexpected},
    sql::{
        Statement,
        postgres::{
            Argument, Postgres,
            decode::{decode, write_json},
        },
    },
};

/// What a question found. Equal questions share it.
#[derive(Clone)]
pub(crate) struct PostgresRows(Arc<Vec<PgRow>>);

/// Puts a statement to the database.
pub(super) async fn read_rows(
    connection: &mut PgConnection,
    statement: Statement<Postgres>,
) -> Result<PostgresRows, sqlx::Error> {
    let arguments = arguments(statement.arguments)?;
    let query = sqlx::query_with(AssertSqlSafe(statement.text), arguments).persistent(true);
    let rows = connection.fetch(query).try_collect().await?;
    Ok(PostgresRows(Arc::new(rows)))
}

/// Executes a statement that returns nothing; gives the number of rows it touched.
pub(super) async fn execute(
    connection: &mut PgConnection,
    statement: Statement<Postgres>,
) -> Result<u64, sqlx::Error> {
    let arguments = arguments(statement.arguments)?;
    let query = sqlx::query_with(AssertSqlSafe(statement.text), arguments).persistent(true);
    Ok(connection.execute(query).await?.rows_affected())
}

/// Arguments in the driver's form.
fn arguments(values: Vec<Argument>) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for value in values {
        sqlx::Arguments::add(&mut arguments, Encoded(value)).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// An argument that is in the server's binary format already.
struct Encoded(Argument);

impl sqlx::Type<sqlx::Postgres> for Encoded {
    /// Every value says of itself what it is.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, sqlx::Postgres> for Encoded {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(match &self.0.bytes {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.0.kind.oid())))
    }
}

impl PostgresRows {
    /// What several questions found that went together, where the last column says whose a row is.
    pub fn apart(self, questions: usize) -> Result<Vec<Self>> {
        let mut found: Vec<Vec<PgRow>> = (0..questions).map(|_| Vec::new()).collect();
        let rows = Arc::into_inner(self.0).ok_or_else(|| unexpected("rows of its own"))?;
        for row in rows {
            let column = row.len().saturating_sub(1);
            let number: i64 = row.try_get(column).map_err(postgres_failure)?;
            let of_one = usize::try_from(number - 1).ok();
            let of_one = of_one.and_then(|index| found.get_mut(index));
            of_one
                .ok_or_else(|| unexpected("a question's number"))?
                .push(row);
        }
        let found = found.into_iter();
        Ok(found.map(|rows| Self(Arc::new(rows))).collect())
    }

    fn bytes(&self, row: usize, column: usize) -> Result<Option<&[u8]>> {
        let row = self.0.get(row).ok_or_else(|| unexpected("a row"))?;
        let value = row.try_get_raw(column).map_err(postgres_failure)?;
        match sqlx::ValueRef::is_null(&value) {
            true => Ok(None),
            false => value.as_bytes().map(Some).map_err(Error::internal),
        }
    }

    /// A page of what a list of all columns found, one row more than the limit where it goes on.
    pub fn page(&self, query: &Query, collection: &Collection) -> Result<Page> {
        let limit = query.limit as usize;
        let count = self.0.len().min(limit);
        let fields = query.fields.as_deref().unwrap_or(collection.sent_fields());
        let mut json = Vec::with_capacity(count * 512);
        for row in 0..count {
            if row > 0 {
                json.extend_from_slice(b",\n");
            }
            self.write_json(row, collection, fields, &mut json)?;
        }
        let last = count.checked_sub(1).filter(|_| self.0.len() > limit);
        Ok(Page {
            documents: json.into(),
            count: u32::try_from(count).map_err(Error::internal)?,
            next: last
                .map(|row| {
                    let keys = query.sort.iter();
                    keys.map(|key| self.value(row, key.field, collection))
                        .collect()
                })
                .transpose()?,
        })
    }

    /// The first row as it is sent, where there is one, from a row of all columns.
    pub fn body(&self, collection: &Collection) -> Result<Option<Body>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut json = Vec::with_capacity(512);
        self.write_json(0, collection, collection.sent_fields(), &mut json)?;
        let revision = self.integer(0, collection.revision())?;
        Ok(Some(Body {
            json: json.into(),
            revision: Revision::new(revision),
        }))
    }

    /// Appends a row as it is sent, without a document in between.
    fn write_json(
        &self,
        row: usize,
        collection: &Collection,
        fields: &[usize],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        write_fields(collection, fields, out, |index, out| {
            let stored = self.bytes(row, index)?;
            write_json(&collection.fields()[index], stored, out).map_err(Error::internal)
        })
    }

    fn value(&self, row: usize, index: usize, collection: &Collection) -> Result<Value> {
        decode(&collection.fields()[index], self.bytes(row, index)?).map_err(Error::internal)
    }
}

impl Rows for PostgresRows {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn integer(&self, row: usize, column: usize) -> Result<i64> {
        match self.bytes(row, column)? {
            Some(&[byte]) => Ok(i64::from(byte)),
            Some(bytes) => match (bytes.try_into(), bytes.try_into()) {
                (Ok(wide), _) => Ok(i64::from_be_bytes(wide)),
                (_, Ok(narrow)) => Ok(i64::from(i32::from_be_bytes(narrow))),
                _ => Err(unexpected("a number")),
            },
            None => Err(unexpected("a number")),
        }
    }

    fn blob(&self, row: usize, column: usize) -> Result<Vec<u8>> {
        let bytes = self.bytes(row, column)?;
        Ok(bytes.ok_or_else(|| unexpected("bytes"))?.to_vec())
    }

    fn text(&self, row: usize, column: usize) -> Result<String> {
        String::from_utf8(self.blob(row, column)?).map_err(Error::internal)
    }

    fn id(&self, row: usize, column: usize) -> Result<Id> {
        let bytes = self
            .bytes(row, column)?
            .ok_or_else(|| unexpected("an id"))?;
        Uuid::from_slice(bytes)
            .map(Id::from_uuid)
            .map_err(Error::internal)
    }

    fn document(&self, row: usize, collection: &Collection) -> Result<Document> {
        let fields = 0..collection.fields().len();
        let values = fields.map(|index| self.value(row, index, collection));
        values.collect::<Result<_>>().map(Document::from_values)
    }
}
