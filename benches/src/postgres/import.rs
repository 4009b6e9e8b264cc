//! Many messages from a file: `nubo import` beside `COPY` of the same rows.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Site;
use crate::external::run;
use crate::interrupt::Interrupt;
use crate::report::median;

/// Share of the rate of `COPY` that an import is meant to reach.
const TARGET: f64 = 0.5;
const LIMIT: Duration = Duration::from_secs(1800);
const COLUMNS: &str = "id, conversation_id, sender_id, message_type, state, content, created_at, \
                       updated_at, _rev";

impl Site {
    /// Imports by turns, from files that were written before.
    pub(super) fn import(&self, folder: &Path, interrupt: &Interrupt) -> Result<Value> {
        let count = usize::try_from(self.options.imported)?;
        let (lines, rows) = (folder.join("messages.ndjson"), folder.join("messages.csv"));
        self.write_files(count, &lines, &rows)?;
        let lines_name = lines.to_str().context("a folder whose name is not UTF-8")?;
        let mut taken: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for round in 1..=self.options.plan.rounds {
            self.database.empty(&self.table)?;
            let order = self.sides[0]
                .order(
                    &self.data,
                    &[
                        "import",
                        "--keep-going",
                        "--collection",
                        "messages",
                        lines_name,
                    ],
                )
                .context("Nubo comes first")?;
            let started = Instant::now();
            run(order, LIMIT, interrupt)?;
            let import = started.elapsed();
            self.check_imported(count)?;

            self.database.empty(&self.table)?;
            let copy = self.database.copy(&self.table, COLUMNS, &rows)?;
            self.check_imported(count)?;
            eprintln!("import round {round}: {import:.1?}, COPY {copy:.1?}");
            taken[0].push(import.as_secs_f64());
            taken[1].push(copy.as_secs_f64());
        }
        let [import, copy] = taken.map(|seconds| count as f64 / median(seconds));
        println!(
            "\n| {count} messages | rows/s |\n|---|--:|\n| nubo import | {import:.0} |\n| COPY | {copy:.0} |\n\n\
             The import reaches {:.0}% of COPY (target {:.0}%).",
            100.0 * import / copy,
            100.0 * TARGET
        );
        Ok(
            json!({ "rows_per_second": import, "copy_rows_per_second": copy, "share": import / copy }),
        )
    }

    fn check_imported(&self, count: usize) -> Result<()> {
        let stored = self.rows()?;
        ensure!(
            stored == count as u64,
            "{stored} of {count} messages are there"
        );
        Ok(())
    }

    /// The same messages twice: as lines of JSON, and as rows with all columns.
    fn write_files(&self, count: usize, lines: &Path, rows: &Path) -> Result<()> {
        let mut lines = BufWriter::new(File::create(lines)?);
        let mut rows = BufWriter::new(File::create(rows)?);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut message = Vec::new();
        for index in 0..count {
            message.clear();
            let id = crate::dataset::uuid(
                (1_767_225_600_000 + index as u128) << 80 | rng.u128(..) >> 48,
                7,
            );
            self.dataset.write_loaded(&mut message, index, &id);
            let fields: Value = serde_json::from_slice(&message)?;
            lines.write_all(&message)?;
            lines.write_all(b"\n")?;
            let text = |name: &str| {
                fields[name]
                    .as_str()
                    .unwrap_or_default()
                    .replace('"', "\"\"")
            };
            // What a line leaves out is the default.
            let number = |name: &str| fields[name].as_i64().unwrap_or_default();
            writeln!(
                rows,
                "{id},{},{},{},{},\"{}\",2026-01-01T00:00:00.000Z,2026-01-01T00:00:00.000Z,{}",
                text("conversation_id"),
                text("sender_id"),
                number("message_type"),
                number("state"),
                text("content"),
                1_767_225_600_000_000_u64 + index as u64,
            )?;
        }
        lines.flush()?;
        rows.flush()?;
        Ok(())
    }
}
