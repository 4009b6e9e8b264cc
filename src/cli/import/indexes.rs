//! `--rebuild-indexes`: indexes that guard nothing are dropped before the first document is written
//! and built again at the end, however the import ends. What a killed one has left behind is built
//! by the next, or without a file.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use nubo_core::{module::SetupError, schema::Collection};
use nubo_truth::{IndexRebuild, Rebuilt};

use super::super::causes::with_causes;
use crate::{
    config::TruthDriver,
    server::{self, Assembly},
};

const REMEDY: &str = "`nubo import --rebuild-indexes` builds them again";

/// The indexes of the collection that is imported, where they are to be rebuilt.
pub(super) struct Indexes {
    rebuild: Option<IndexRebuild>,
    is_dropped: bool,
}

/// What has become of them, and in which time.
pub(super) struct Outcome(Option<(Rebuilt, Duration)>);

impl Indexes {
    /// Gets ready to drop them. They stay for now: nothing may come to be written.
    ///
    /// # Errors
    /// When there is no database that this can be done with, or another import does it.
    pub async fn to_rebuild(assembly: &Assembly) -> Result<Self, SetupError> {
        let mut rebuild = server::index_rebuild(assembly.loaded()).await?;
        let dropped = rebuild.dropped().await?;
        if !dropped.is_empty() {
            say(format_args!(
                "an import that was killed has left indexes dropped: {}; they are built at the end",
                dropped.join(", ")
            ));
        }
        Ok(Self {
            rebuild: Some(rebuild),
            is_dropped: false,
        })
    }

    /// They are left alone. What is missing since an earlier import is told.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn to_keep(assembly: &Assembly) -> Result<Self, SetupError> {
        let loaded = assembly.loaded();
        if loaded.settings.tiers.truth.driver == TruthDriver::Postgres {
            let migrations = server::migrations(loaded, assembly.catalog().clone())?;
            if let Some(left) = migrations.facts().await?.dropped_indexes.left_behind() {
                say(format_args!("warning: {left}; {REMEDY}"));
            }
        }
        Ok(Self {
            rebuild: None,
            is_dropped: false,
        })
    }

    /// The first document is about to be written.
    ///
    /// # Errors
    /// When the database does not let go of them. None is dropped then.
    pub async fn drop_of(&mut self, collection: &Collection) -> Result<(), SetupError> {
        if let Some(rebuild) = &mut self.rebuild
            && !self.is_dropped
        {
            rebuild.drop_of(collection).await?;
            self.is_dropped = true;
        }
        Ok(())
    }

    /// Nothing will be written any more: builds what is missing.
    ///
    /// # Errors
    /// When the database is lost or somebody interrupts it. What is missing stays noted.
    pub async fn build(self) -> Result<Outcome, SetupError> {
        let Some(mut rebuild) = self.rebuild else {
            return Ok(Outcome(None));
        };
        let started = Instant::now();
        let built = tokio::select! {
            built = rebuild.build() => built,
            () = interruption() => Err(SetupError::new("interrupted")),
        };
        let rebuilt = built.map_err(|error| {
            SetupError::caused(format!("not all indexes are there again; {REMEDY}"), error)
        })?;
        rebuild.end().await;
        Ok(Outcome(Some((rebuilt, started.elapsed()))))
    }
}

impl Outcome {
    /// Says what was built and what was not. Whether nothing is missing any more.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn write(&self, out: &mut impl Write) -> io::Result<bool> {
        let Some((rebuilt, elapsed)) = &self.0 else {
            return Ok(true);
        };
        let (count, seconds) = (rebuilt.built.len(), elapsed.as_secs_f64());
        let word = if count == 1 { "index" } else { "indexes" };
        writeln!(out, "{count} {word} built again in {seconds:.2} s")?;
        for (name, error) in &rebuilt.failed {
            let error = with_causes(error);
            writeln!(io::stderr(), "{name} could not be built again: {error}")?;
        }
        Ok(rebuilt.failed.is_empty())
    }
}

/// Until somebody presses ctrl-c. Where nobody can, it never ends.
pub(super) async fn interruption() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A word on standard error, which is lost with it where nobody listens.
fn say(words: std::fmt::Arguments<'_>) {
    eprintln!("{words}");
}
