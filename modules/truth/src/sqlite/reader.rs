//! Readers: connections that answer questions, each from a task of its own.
//!
//! A question costs a connection little and its two changes of thread much. So a reader that is
//! free takes all questions that wait and puts those with the same statement to the database in
//! one go, as the writer does with transactions. A lone question waits for nobody.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use nubo_core::{Error, Result, document::Document, id::Id, schema::Collection};
use sqlx::{
    AssertSqlSafe, Either, Executor, Row, SqliteConnection, TypeInfo, ValueRef, sqlite::SqliteRow,
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{arguments, close, time_limit::TimeLimit};
use crate::{
    fault::{internal, is_interrupted, too_slow},
    rows::{Rows, unexpected},
    sql::sqlite::{Argument, encode},
};

/// How many questions may wait; who comes later waits for a place.
const WAITING: usize = 4096;
/// How many questions one reader takes at once: enough to share the cost, few enough that the
/// other readers have work too.
const AT_ONCE: usize = 32;
/// How long the text of several statements may be that are put together, in bytes.
const MOST_TEXT: usize = 64 << 10;
/// How many arguments they may have together; SQLite takes 32,766.
const MOST_ARGUMENTS: usize = 4096;

/// Connections that read.
pub(super) struct Readers {
    questions: async_channel::Sender<Question>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Question {
    text: Arc<str>,
    arguments: Vec<Argument>,
    answer: oneshot::Sender<Result<SqliteRows>>,
}

impl Question {
    /// How many like this one are put together: large statements gain nothing and would meet the
    /// limits of SQLite.
    fn at_once(&self) -> usize {
        let by_text = MOST_TEXT / self.text.len().max(1);
        let by_arguments = MOST_ARGUMENTS / self.arguments.len().max(1);
        by_text.min(by_arguments).clamp(1, AT_ONCE)
    }
}

/// What a question found.
pub(crate) struct SqliteRows(Vec<SqliteRow>);

impl Readers {
    /// One task for each connection.
    pub fn start(connections: Vec<(SqliteConnection, TimeLimit)>) -> Self {
        let (questions, waiting) = async_channel::bounded(WAITING);
        let tasks = connections
            .into_iter()
            .map(|(connection, limit)| tokio::spawn(answer_all(connection, limit, waiting.clone())))
            .collect();
        Self {
            questions,
            tasks: Mutex::new(tasks),
        }
    }

    /// Asks, and waits for the answer.
    pub async fn query(&self, text: Arc<str>, arguments: Vec<Argument>) -> Result<SqliteRows> {
        // The values stay out of the log.
        tracing::trace!(statement = &*text, "asking");
        let (answer, answered) = oneshot::channel();
        let question = Question {
            text,
            arguments,
            answer,
        };
        let stopped = || Error::unavailable("stopping", "the server is stopping");
        self.questions.send(question).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Answers what waits, then closes.
    pub async fn stop(&self) {
        self.questions.close();
        let tasks = match self.tasks.lock() {
            Ok(mut tasks) => std::mem::take(&mut *tasks),
            Err(_) => return,
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a reader did not end cleanly");
            }
        }
    }
}

async fn answer_all(
    mut connection: SqliteConnection,
    limit: TimeLimit,
    waiting: async_channel::Receiver<Question>,
) {
    let mut taken: Vec<Question> = Vec::with_capacity(AT_ONCE);
    while let Ok(first) = waiting.recv().await {
        taken.push(first);
        while taken.len() < AT_ONCE {
            match waiting.try_recv() {
                Ok(question) => taken.push(question),
                Err(_) => break,
            }
        }
        // Questions with the same statement stand side by side.
        taken.sort_by(|a, b| {
            a.text
                .as_ptr()
                .cmp(&b.text.as_ptr())
                .then(a.text.cmp(&b.text))
        });
        while !taken.is_empty() {
            let alike = taken.iter().take_while(|q| q.text == taken[0].text).count();
            // Powers of two keep the number of prepared statements small.
            let size = 1 << alike.min(taken[0].at_once()).ilog2();
            let alike: Vec<Question> = taken.drain(..size).collect();
            // Nobody waits for these any longer.
            if alike.iter().all(|question| question.answer.is_closed()) {
                continue;
            }
            limit.begin();
            answer_alike(&mut connection, alike).await;
        }
    }
    close(connection).await;
}

/// Puts questions with the same statement to the database, as one statement after another in one
/// text. Should that fail, each is asked alone, so that it fails for its own reasons only.
async fn answer_alike(connection: &mut SqliteConnection, mut questions: Vec<Question>) {
    if let [question] = &mut questions[..] {
        let arguments = std::mem::take(&mut question.arguments);
        let found = read_rows(connection, question.text.to_string(), arguments).await;
        let alone = questions.pop().map(|question| question.answer);
        // Who does not wait any longer needs no answer.
        alone.and_then(|answer| answer.send(found.map_err(internal)).ok());
        return;
    }
    let mut text = String::with_capacity((questions[0].text.len() + 1) * questions.len());
    let mut values = Vec::with_capacity(questions[0].arguments.len() * questions.len());
    for question in &questions {
        text.push_str(&question.text);
        text.push(';');
        values.extend(question.arguments.iter().cloned());
    }
    match read_each(connection, text, values, questions.len()).await {
        Ok(found) => {
            for (question, rows) in questions.into_iter().zip(found) {
                question.answer.send(Ok(SqliteRows(rows))).ok();
            }
        }
        // One after the other they would take no less.
        Err(error) if is_interrupted(&error) => {
            for question in questions {
                question.answer.send(Err(too_slow())).ok();
            }
        }
        Err(error) => {
            tracing::debug!(%error, "questions are asked one by one");
            for question in questions {
                let found = read_rows(connection, question.text.to_string(), question.arguments);
                question.answer.send(found.await.map_err(internal)).ok();
            }
        }
    }
}

/// The rows of each of several statements.
async fn read_each(
    connection: &mut SqliteConnection,
    text: String,
    values: Vec<Argument>,
    statements: usize,
) -> Result<Vec<Vec<SqliteRow>>, sqlx::Error> {
    let query = sqlx::query_with(AssertSqlSafe(text), arguments(values)?).persistent(true);
    let mut found = Vec::with_capacity(statements);
    let mut rows = Vec::new();
    let mut stream = connection.fetch_many(query);
    while let Some(step) = stream.next().await {
        match step? {
            Either::Right(row) => rows.push(row),
            Either::Left(_) => found.push(std::mem::take(&mut rows)),
        }
    }
    Ok(found)
}

/// The rows of one statement, on a connection of one's own.
pub(crate) async fn read_rows(
    connection: &mut SqliteConnection,
    text: String,
    values: Vec<Argument>,
) -> Result<SqliteRows, sqlx::Error> {
    let mut found = read_each(connection, text, values, 1).await?;
    Ok(SqliteRows(found.pop().unwrap_or_default()))
}

impl SqliteRows {
    /// A text as bytes.
    pub fn bytes(&self, row: usize, column: usize) -> Result<Bytes> {
        match self.argument(row, column)? {
            Argument::Text(text) => Ok(Bytes::from(text)),
            _ => Err(unexpected("a text")),
        }
    }

    /// A value as the database gave it.
    pub fn argument(&self, row: usize, column: usize) -> Result<Argument> {
        let row = self.0.get(row).ok_or_else(|| unexpected("a row"))?;
        read(row, column).map_err(internal)
    }
}

impl Rows for SqliteRows {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn integer(&self, row: usize, column: usize) -> Result<i64> {
        match self.argument(row, column)? {
            Argument::Integer(number) => Ok(number),
            _ => Err(unexpected("a number")),
        }
    }

    fn blob(&self, row: usize, column: usize) -> Result<Vec<u8>> {
        match self.argument(row, column)? {
            Argument::Blob(bytes) => Ok(bytes),
            _ => Err(unexpected("bytes")),
        }
    }

    fn text(&self, row: usize, column: usize) -> Result<String> {
        match self.argument(row, column)? {
            Argument::Text(text) => Ok(text),
            _ => Err(unexpected("a text")),
        }
    }

    fn id(&self, row: usize, column: usize) -> Result<Id> {
        match self.argument(row, column)? {
            Argument::Text(id) => id.parse().map_err(Error::internal),
            _ => Err(unexpected("an id")),
        }
    }

    fn document(&self, row: usize, collection: &Collection) -> Result<Document> {
        let values = collection
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| {
                encode::decode(field, self.argument(row, index)?).map_err(Error::internal)
            });
        values.collect::<Result<_>>().map(Document::from_values)
    }
}

fn read(row: &SqliteRow, column: usize) -> Result<Argument, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(Argument::Null);
    }
    let kind = value.type_info();
    Ok(match kind.name() {
        "INTEGER" => Argument::Integer(row.try_get_unchecked(column)?),
        "REAL" => Argument::Real(row.try_get_unchecked(column)?),
        "BLOB" => Argument::Blob(row.try_get_unchecked(column)?),
        _ => Argument::Text(row.try_get_unchecked(column)?),
    })
}
