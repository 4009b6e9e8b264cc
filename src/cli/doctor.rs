//! `nubo doctor`: what keeps this configuration from working, and what to do about each.
//!
//! It looks and changes nothing, unless it is to repair. No word of it holds a secret: settings are named, never shown.

mod recent;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use nubo_cache::Difference;
use nubo_core::schema::Catalog;
use nubo_truth::{Migrations, Queued, State};
use serde::Serialize;

use super::{causes::with_causes, migrate::in_words};
use crate::{
    config::{Loaded, Problem, TruthDriver},
    server,
};

/// How long the database may take for all questions together.
const PATIENCE: Duration = Duration::from_secs(60);
/// Free space below which somebody should look.
const LITTLE_SPACE: u64 = 1 << 30;
/// How many documents of each kind are compared, about, where not all are.
const SAMPLE: usize = 5_000;
/// How many of those that differ are shown.
const SHOWN: usize = 20;

/// Looks for what keeps the server from working: configuration, data folder, database, schema
#[derive(Debug, Args)]
pub struct Doctor {
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    /// Compare what the shared cache and the recent tier hold with the database: some thousand documents
    #[arg(long)]
    tiers: bool,
    /// Compare every document
    #[arg(long, requires = "tiers")]
    all: bool,
    /// Have the cache forget what differs, and bring it to the recent tier as it is
    #[arg(long, requires = "tiers")]
    repair: bool,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Warning,
    Error,
}

/// What was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: Health,
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    ok: bool,
    findings: &'a [Finding],
}

impl Doctor {
    /// Looks, writes what was found, and says with which code to exit: 1 where the server would not
    /// work.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub async fn run(
        &self,
        outcome: Result<Loaded, Vec<Problem>>,
        out: &mut impl Write,
    ) -> io::Result<ExitCode> {
        let findings = match outcome {
            Ok(loaded) => self.examine(loaded).await,
            Err(problems) => problems.iter().map(of_problem).collect(),
        };
        let ok = findings
            .iter()
            .all(|finding| finding.state != Health::Error);
        match self.json {
            true => {
                let findings = &findings;
                serde_json::to_writer_pretty(&mut *out, &Written { ok, findings })?;
                writeln!(out)?;
            }
            false => write_text(&findings, out)?,
        }
        Ok(match ok {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

impl Doctor {
    async fn examine(&self, mut loaded: Loaded) -> Vec<Finding> {
        let catalog = Arc::new(std::mem::take(&mut loaded.catalog));
        let mut findings = examine(&loaded, &catalog).await;
        if self.tiers {
            findings.extend(self.compare(&loaded, catalog.clone()).await);
            findings.extend(recent::compare(&loaded, catalog, self.most(), self.repair).await);
        }
        findings
    }

    /// About how many documents are compared.
    const fn most(&self) -> usize {
        match self.all {
            true => usize::MAX,
            false => SAMPLE,
        }
    }

    /// Compares the tiers.
    async fn compare(&self, loaded: &Loaded, catalog: Arc<Catalog>) -> Vec<Finding> {
        let audit = match server::audit(loaded, catalog, self.most(), self.repair).await {
            Ok(Some(audit)) => audit,
            Ok(None) => return vec![ok("tiers", "no shared cache is in use")],
            Err(failure) => {
                let advice = "see whether the database and Redis can be reached";
                return vec![error("tiers", with_causes(&failure), advice)];
            }
        };
        let looked = format!(
            "{} documents in the cache and {} places in its sets were compared",
            audit.compared, audit.places
        );
        if audit.differences.is_empty() {
            return vec![ok("tiers", format!("{looked}: all is as in the database"))];
        }
        let advice = match self.repair {
            true => "they are forgotten now; this is a bug of the server, please tell of it",
            false => {
                "`nubo doctor --tiers --repair` forgets them; this is a bug of the server, \
                      please tell of it"
            }
        };
        let shown = audit
            .differences
            .iter()
            .take(SHOWN)
            .map(|difference| match difference {
                Difference::Document { collection, id } => format!("{collection}/{id} differs"),
                Difference::Missing { collection, id } => {
                    format!("{collection}/{id} is missing from a list")
                }
            });
        let message = format!(
            "{looked}, {} differ:\n{}",
            audit.differences.len(),
            shown.collect::<Vec<_>>().join("\n")
        );
        vec![error("tiers", message, advice)]
    }
}

fn write_text(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        let mark = match finding.state {
            Health::Ok => "ok     ",
            Health::Warning => "warning",
            Health::Error => "ERROR  ",
        };
        let message = finding.message.replace('\n', "\n          ");
        writeln!(out, "{mark}  {}: {message}", finding.check)?;
        if let Some(advice) = &finding.advice {
            writeln!(out, "          → {advice}")?;
        }
    }
    Ok(())
}

fn ok(check: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        check,
        state: Health::Ok,
        message: message.into(),
        advice: None,
    }
}

fn warning(check: &'static str, message: impl Into<String>, advice: &str) -> Finding {
    Finding {
        state: Health::Warning,
        advice: Some(advice.to_owned()),
        ..ok(check, message)
    }
}

fn error(check: &'static str, message: impl Into<String>, advice: &str) -> Finding {
    Finding {
        state: Health::Error,
        ..warning(check, message, advice)
    }
}

fn of_problem(problem: &Problem) -> Finding {
    let message = problem.to_string();
    match problem.is_error() {
        true => error(
            "configuration",
            message,
            "`nubo check` shows all mistakes with their places",
        ),
        false => warning(
            "configuration",
            message,
            "correct it, or leave it if it is meant",
        ),
    }
}

async fn examine(loaded: &Loaded, catalog: &Arc<Catalog>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = loaded.warnings.iter().map(of_problem).collect();
    let collections = catalog.collections().len();
    findings.push(ok(
        "configuration",
        format!("{collections} collections in {} files", loaded.files.len()),
    ));
    findings.push(secret(loaded));
    findings.extend(folder(loaded));
    match server::migrations(loaded, Arc::clone(catalog)) {
        Err(failure) => findings.push(error(
            "database",
            with_causes(&failure),
            "see .env.example for the names of settings",
        )),
        Ok(migrations) => {
            let looking = database(loaded, &migrations);
            match tokio::time::timeout(PATIENCE, looking).await {
                Ok(found) => findings.extend(found),
                Err(_) => findings.push(error(
                    "database",
                    format!("it has not answered within {} s", PATIENCE.as_secs()),
                    "see what else it is doing, such as locks that a long transaction holds",
                )),
            }
        }
    }
    findings
}

fn secret(loaded: &Loaded) -> Finding {
    let given = loaded.sections.get("auth");
    let given = given.is_some_and(|section| section["jwt_secret"].is_string());
    match (given, loaded.settings.tiers.truth.driver) {
        (true, _) => ok("tokens", "the secret is given"),
        (false, TruthDriver::Sqlite) => ok("tokens", "the secret is kept in the data folder"),
        (false, TruthDriver::Postgres) => warning(
            "tokens",
            "the secret is made and kept in the data folder, so that another server on the same \
             database does not accept the tokens of this one",
            "set JWT_SECRET, the same for all servers, for example from `openssl rand -base64 32`",
        ),
    }
}

fn folder(loaded: &Loaded) -> Vec<Finding> {
    let folder = &loaded.settings.data;
    let shown = folder.display();
    if !folder.exists() {
        return vec![ok(
            "data folder",
            format!("{shown} is made when the server starts"),
        )];
    }
    let mut findings = Vec::new();
    match tempfile::tempfile_in(folder) {
        Ok(_) => findings.push(ok("data folder", format!("{shown} can be written"))),
        Err(failure) => findings.push(error(
            "data folder",
            format!("{shown} cannot be written: {failure}"),
            "give it to the user that runs the server, or choose another one with NUBO_DATA",
        )),
    }
    findings.extend(space(folder));
    findings
}

#[cfg(unix)]
fn space(folder: &std::path::Path) -> Option<Finding> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let message = format!("{} MiB are free where the data folder is", free >> 20);
    Some(match free < LITTLE_SPACE {
        true => warning("disk", message, "make room before the disk is full"),
        false => ok("disk", message),
    })
}

#[cfg(not(unix))]
fn space(_: &std::path::Path) -> Option<Finding> {
    None
}

async fn database(loaded: &Loaded, migrations: &Migrations) -> Vec<Finding> {
    let mut findings = Vec::new();
    let before = Instant::now();
    let facts = match migrations.facts().await {
        Ok(facts) => facts,
        Err(failure) => {
            let advice = match loaded.settings.tiers.truth.driver {
                TruthDriver::Sqlite => "see who owns the file, and whether it is Nubo's",
                TruthDriver::Postgres => {
                    "see whether the server runs, and whether DATABASE_URL has the right host, \
                     port, user, password and database; tiers.truth.tls is what is demanded of \
                     its certificate"
                }
            };
            findings.push(error("database", with_causes(&failure), advice));
            return findings;
        }
    };
    let elapsed = before.elapsed().as_millis();
    findings.push(ok(
        "database",
        format!(
            "{} answers; connecting and a question take {elapsed} ms",
            facts.version
        ),
    ));
    if !facts.is_durable {
        findings.push(warning(
            "durability",
            "the database runs without fsync or full_page_writes: what was acknowledged may be \
             lost when the machine fails",
            "set fsync and full_page_writes to on in postgresql.conf",
        ));
    }
    if let Some(is_encrypted) = facts.is_encrypted {
        let message = match is_encrypted {
            true => "the connection to the database is encrypted",
            false => {
                "the connection to the database is not encrypted, which is fine on the same \
                 machine or a network of one's own; see tiers.truth.tls"
            }
        };
        findings.push(ok("encryption", message));
    }
    let dropped = &facts.dropped_indexes;
    if let Some(left) = dropped.left_behind() {
        findings.push(warning(
            "indexes",
            left,
            "`nubo import --rebuild-indexes` builds them again; until then what they are for is \
             slow",
        ));
    } else if !dropped.names.is_empty() {
        findings.push(ok(
            "indexes",
            format!(
                "an import is under way that builds these again at its end: {}",
                dropped.names.join(", ")
            ),
        ));
    }
    findings.extend(queue(&facts.queued));
    if let Some((most, used)) = facts.connections {
        let pool = &loaded.settings.tiers.truth.pool;
        // One more looks at what others write.
        let wanted = pool.max + pool.writers + 1;
        let message = format!(
            "this server opens up to {wanted} connections; the database takes {most}, of which \
             {used} are in use"
        );
        findings.push(match wanted > most.saturating_sub(used) {
            true => warning(
                "connections",
                message,
                "lower tiers.truth.pool.max, or raise max_connections in postgresql.conf; a server \
                 that is running counts among those in use",
            ),
            false => ok("connections", message),
        });
    }
    findings.extend(schema(migrations).await);
    findings
}

/// What collections with `write: behind` have acknowledged and is not carried out.
fn queue(queued: &Queued) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(since) = queued.since {
        findings.push(ok(
            "queue",
            format!(
                "{} writes that were acknowledged wait to be carried out, the first since {since}",
                queued.waiting
            ),
        ));
    }
    if queued.dead_letters > 0 {
        findings.push(warning(
            "dead letters",
            format!(
                "{} writes that were acknowledged were refused when they were carried out",
                queued.dead_letters
            ),
            "`nubo dlq list` shows them, `nubo dlq retry` tries them again, `nubo dlq drop` forgets \
             them",
        ));
    }
    findings
}

async fn schema(migrations: &Migrations) -> Vec<Finding> {
    let status = match migrations.status().await {
        Ok(status) => status,
        Err(failure) => {
            return vec![error(
                "schema",
                with_causes(&failure),
                "see whether the user of the database may read it",
            )];
        }
    };
    let mut findings = Vec::new();
    for (title, state) in &status.migrations {
        findings.extend(match state {
            State::Applied => None,
            State::Pending => Some(warning(
                "migrations",
                format!("`{title}` has not been applied"),
                "`nubo migrate up` applies it",
            )),
            State::Changed => Some(error(
                "migrations",
                format!("`{title}` was changed after it had been applied"),
                "bring the file back as it was, and put further changes into a new migration",
            )),
            State::Missing => Some(error(
                "migrations",
                format!("`{title}` was applied, and its file is missing"),
                "bring the file back: it says how the database came to be",
            )),
        });
    }
    if findings.is_empty() {
        let message = match status.migrations.len() {
            0 => "there are none: the server makes the tables itself".to_owned(),
            count => format!("all {count} are applied"),
        };
        findings.push(ok("migrations", message));
    }
    let (missing, other): (Vec<_>, Vec<_>) = status
        .changes
        .iter()
        .partition(|change| change.is_essential());
    let listed = |changes: &[&nubo_truth::Change]| {
        let lines = changes.iter().map(|change| in_words(change));
        lines.collect::<Vec<_>>().join("\n")
    };
    if status.is_new {
        findings.push(ok("schema", "the database is empty: it is set up at start"));
    } else if missing.is_empty() && other.is_empty() {
        findings.push(ok("schema", "the database is as the collections declare"));
    } else {
        let advice = "`nubo migrate plan` writes the migration that is missing, `nubo migrate up` \
                      applies it; with `migrate: auto` the server makes changes itself that lose \
                      nothing";
        if !missing.is_empty() {
            let message = format!("the database lacks what is declared:\n{}", listed(&missing));
            findings.push(error("schema", message, advice));
        }
        if !other.is_empty() {
            let message = format!(
                "the database differs from what is declared:\n{}",
                listed(&other)
            );
            findings.push(warning("schema", message, advice));
        }
    }
    findings
}
