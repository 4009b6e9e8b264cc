//! `nubo dlq`: writes that were acknowledged and then refused.

use std::{io::Write, process::ExitCode};

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::Value as Json;

use super::{
    orders,
    users::{in_words, show_table},
};
use crate::{
    control::{DeadLetterOrder, Order},
    server::Assembly,
};

/// Looks at dead letters: writes of collections with `write: behind` that were acknowledged and
/// then refused
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// Lists them, oldest first
    List {
        /// Write one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Shows one with its documents and why it was refused, as JSON
    Show {
        /// Its number, as `nubo dlq list` shows it
        number: i64,
    },
    /// Puts them back into the queue; what is refused again becomes another dead letter
    Retry(Which),
    /// Forgets them for good
    Drop(Which),
}

/// Which dead letters are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Their numbers
    numbers: Vec<i64>,
    /// Every one
    #[arg(long)]
    all: bool,
}

impl Which {
    /// None where all are meant.
    fn numbers(self) -> Option<Vec<i64>> {
        (!self.all).then_some(self.numbers)
    }
}

impl Dlq {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Where the store cannot be used, or there is no such dead letter.
    pub async fn run(self, assembly: &Assembly, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let as_json = matches!(self, Self::List { json: true } | Self::Show { .. });
        let order = match self {
            Self::List { .. } => DeadLetterOrder::List,
            Self::Show { number } => DeadLetterOrder::Show { number },
            Self::Retry(which) => DeadLetterOrder::Retry {
                numbers: which.numbers(),
            },
            Self::Drop(which) => DeadLetterOrder::Drop {
                numbers: which.numbers(),
            },
        };
        match orders::carry_out(assembly, Order::DeadLetters(order)).await? {
            Ok(answer) if as_json => {
                serde_json::to_writer_pretty(&mut *out, &answer)?;
                writeln!(out)?;
            }
            Ok(answer) if answer.is_array() => show_table(&answer, out)?,
            Ok(answer) => counted(&answer, out)?,
            Err(problem) => bail!(in_words(&problem)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// `2 retried`.
fn counted(answer: &Json, out: &mut impl Write) -> std::io::Result<()> {
    for (what, count) in answer.as_object().into_iter().flatten() {
        writeln!(out, "{count} {what}")?;
    }
    Ok(())
}
