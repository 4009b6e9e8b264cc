//! `nubo check`: everything that is wrong with the configuration, without starting anything.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use nubo_core::module::Section;
use serde::Serialize;

use crate::config::{self, LoadOptions, Loaded, Place, Problem, Severity};

/// Checks the configuration and all collections.
#[derive(Debug, Args)]
pub struct Check {
    /// How what is wrong is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A line each, with file, line and column in front.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

impl Check {
    /// Checks, writes the result to `out`, and says with which code to exit: 1 if anything is wrong,
    /// 0 if there are warnings at most.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn run(
        &self,
        options: &LoadOptions,
        sections: &[(&'static str, Section)],
        out: &mut impl Write,
    ) -> io::Result<ExitCode> {
        let outcome = config::load(options, sections);
        match self.format {
            Format::Text => write_text(&outcome, out)?,
            Format::Json => write_json(&outcome, out)?,
        }
        Ok(if outcome.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Writes a line for each problem and one that sums them up. The server writes the same when it
/// refuses to start.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_text(outcome: &Result<Loaded, Vec<Problem>>, out: &mut impl Write) -> io::Result<()> {
    for problem in problems(outcome) {
        writeln!(out, "{problem}")?;
    }
    match outcome {
        Ok(loaded) => {
            let collections = counted(loaded.catalog.collections().len(), "collection");
            let files = counted(loaded.files.len(), "file");
            let warnings = match loaded.warnings.len() {
                0 => String::new(),
                count => format!(", {}", counted(count, "warning")),
            };
            writeln!(out, "no mistakes: {collections} in {files}{warnings}")
        }
        Err(problems) => {
            let mistakes = problems.iter().filter(|problem| problem.is_error()).count();
            let warnings = match problems.len() - mistakes {
                0 => String::new(),
                count => format!(" and {}", counted(count, "warning")),
            };
            writeln!(out, "{}{warnings}", counted(mistakes, "mistake"))
        }
    }
}

/// What is written for machines.
#[derive(Serialize)]
struct Written<'a> {
    ok: bool,
    collections: usize,
    problems: Vec<WrittenProblem<'a>>,
}

#[derive(Serialize)]
struct WrittenProblem<'a> {
    severity: Severity,
    /// Absent where the setting is in no file.
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    /// The environment variable, flag or module, where the setting is in no file.
    source: Option<&'a str>,
    message: &'a str,
    suggestion: Option<&'a str>,
}

impl<'a> From<&'a Problem> for WrittenProblem<'a> {
    fn from(problem: &'a Problem) -> Self {
        let (file, position, source) = match &problem.place {
            Place::File { path, position } => {
                (Some(path.display().to_string()), Some(*position), None)
            }
            Place::Named(name) => (None, None, Some(name.as_str())),
        };
        Self {
            severity: problem.severity,
            file,
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            source,
            message: &problem.message,
            suggestion: problem.suggestion.as_deref(),
        }
    }
}

fn write_json(outcome: &Result<Loaded, Vec<Problem>>, out: &mut impl Write) -> io::Result<()> {
    let collections = outcome
        .as_ref()
        .map(|loaded| loaded.catalog.collections().len());
    let written = Written {
        ok: outcome.is_ok(),
        collections: collections.unwrap_or(0),
        problems: problems(outcome).iter().map(WrittenProblem::from).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &written)?;
    writeln!(out)
}

fn problems(outcome: &Result<Loaded, Vec<Problem>>) -> &[Problem] {
    match outcome {
        Ok(loaded) => &loaded.warnings,
        Err(problems) => problems,
    }
}

fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}
