//! `nubo migrate`: the database's schema, changed by files that people review.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Subcommand};
use nubo_truth::{Change, Migrations, Planned, Policy, Risk, State, Status};

use super::layout::table;
use crate::{config::Loaded, server};

const EXAMPLES: &str = "\
Examples:
  nubo migrate status
      Which migrations there are, and how the database differs from the collections.
  nubo migrate plan --name add_mood
      Writes migrations/<driver>/0002_add_mood.sql and what takes it back. Read both.
  nubo migrate up
      Applies what has not been applied, each file in a transaction of its own. Servers that do so
      at the same time wait for each other.

docs/migrations.md tells the rest.";

/// Changes the database's schema by files that people review
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Migrate {
    Plan(Plan),
    Up(Up),
    Down(Down),
    /// Lists the migrations, and how the database differs from the collections
    Status,
}

/// Writes the next migration: what leads from the database to the collections
#[derive(Debug, Args)]
pub struct Plan {
    /// What the migration is called
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write down what loses data as well
    #[arg(long, conflicts_with = "keep")]
    allow_destructive: bool,
    /// Keep what no field and no collection declares any longer
    #[arg(long)]
    keep: bool,
    /// Write the first migration, for an empty database, without looking at the one that is there
    #[arg(long, conflicts_with_all = ["allow_destructive", "keep"])]
    baseline: bool,
}

/// Applies the migrations that have not been applied
#[derive(Debug, Args)]
pub struct Up {
    /// Only note those up to this number: the database has them already
    #[arg(long, value_name = "NUMBER")]
    adopt: Option<u32>,
}

/// Takes the last migration back, with what it brought
#[derive(Debug, Args)]
pub struct Down {
    /// Take back all above this number; 0 leaves none
    #[arg(long, value_name = "NUMBER")]
    to: Option<u32>,
}

impl Migrate {
    /// Does what is asked and says so. Fails where a plan is refused; `status` also where something
    /// is to be done.
    ///
    /// # Errors
    /// When the database, the files or `out` cannot be used.
    pub async fn run(&self, mut loaded: Loaded, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let catalog = Arc::new(std::mem::take(&mut loaded.catalog));
        let migrations = server::migrations(&loaded, catalog)?;
        match self {
            Self::Plan(plan) => return plan.run(&migrations, out).await,
            Self::Up(up) => {
                let _lock = server::hold(&loaded)?;
                let raised = migrations.up(up.adopt).await?;
                for title in &raised.adopted {
                    writeln!(out, "noted {title}: the database has it already")?;
                }
                for title in &raised.applied {
                    writeln!(out, "applied {title}")?;
                }
                if raised == nubo_truth::Raised::default() {
                    writeln!(out, "nothing to apply in {}", migrations.folder().display())?;
                }
            }
            Self::Down(down) => {
                let _lock = server::hold(&loaded)?;
                let taken = match down.to {
                    Some(number) => migrations.down_to(number).await?,
                    None => migrations.down().await?.into_iter().collect(),
                };
                for title in &taken {
                    writeln!(out, "took back {title}")?;
                }
                if taken.is_empty() {
                    writeln!(out, "nothing to take back")?;
                }
            }
            Self::Status => {
                let status = migrations.status().await?;
                write_status(&status, out)?;
                let is_done = status.changes.is_empty()
                    && status
                        .migrations
                        .iter()
                        .all(|(_, state)| *state == State::Applied);
                if !is_done {
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Plan {
    async fn run(&self, migrations: &Migrations, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let name = self.name.as_deref();
        let policy = match (self.allow_destructive, self.keep) {
            (true, _) => Policy::Destructive,
            (_, true) => Policy::Keep,
            _ => Policy::Safe,
        };
        let planned = match self.baseline {
            true => migrations.baseline(name)?,
            false => migrations.plan(policy, name).await?,
        };
        match planned {
            Planned::Nothing => writeln!(out, "the database is as the collections declare")?,
            Planned::Written(files, changes) => {
                for file in &files {
                    writeln!(out, "wrote {}", file.display())?;
                }
                for change in changes.iter().filter(|change| !change.is_detail) {
                    writeln!(out, "  {}", in_words(change))?;
                }
                match files.len() {
                    2 => writeln!(out, "read them, then: nubo migrate up")?,
                    // The server has made the database by itself: that is the first of them.
                    _ => writeln!(out, "read them, then: nubo migrate up --adopt 1")?,
                }
            }
            Planned::Refused(risks) => {
                write_refusal(&risks, &mut io::stderr().lock())?;
                return Ok(ExitCode::FAILURE);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A change in words, with a mark where it loses something.
pub(super) fn in_words(change: &Change) -> String {
    match &change.risk {
        Some(_) => format!("! {}", change.why),
        None => format!("+ {}", change.why),
    }
}

fn write_refusal(risks: &[Risk], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "nothing was written, because data would be lost:")?;
    for risk in risks {
        writeln!(out, "\n{}", risk.problem)?;
        for (number, step) in (1..).zip(&risk.instead) {
            writeln!(out, "  {number}. {step}")?;
        }
    }
    writeln!(
        out,
        "\n--allow-destructive writes it down all the same, for people to review"
    )
}

fn write_status(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let rows = status.migrations.iter().map(|(title, state)| {
        let state = match state {
            State::Applied => "applied",
            State::Pending => "pending",
            State::Changed => "applied, and changed since",
            State::Missing => "applied, and its file is missing",
        };
        vec![title.clone(), state.to_owned()]
    });
    table(&[], rows, out)?;
    match status.changes.as_slice() {
        [] => writeln!(out, "the database is as the collections declare"),
        _ if status.is_new => writeln!(out, "the database is empty"),
        changes => {
            writeln!(out, "the database differs from the collections:")?;
            for change in changes {
                writeln!(out, "  {}", in_words(change))?;
            }
            Ok(())
        }
    }
}
