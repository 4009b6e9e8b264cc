//! The tables of `docs/access.md`.

use std::{fs, path::Path};

/// What one person gets for one action.
pub struct Cell {
    /// Line of the page, from 1.
    pub line: usize,
    pub collection: String,
    pub action: String,
    pub person: String,
    pub expected: String,
}

/// The cells of all tables that begin with a column `action`, without those that make no sense.
pub fn cells() -> Vec<Cell> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/access.md");
    let text = fs::read_to_string(path).expect("the page");
    let mut cells = Vec::new();
    let mut collection = "";
    let mut people: Vec<&str> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## ") {
            collection = heading;
        }
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            people.clear();
            continue;
        };
        let mut columns = row.split('|').map(str::trim);
        let first = columns.next().unwrap_or_default();
        if first == "action" {
            people = columns.collect();
            continue;
        }
        if people.is_empty() || first.starts_with("---") {
            continue;
        }
        let answers: Vec<&str> = columns.collect();
        assert_eq!(
            answers.len(),
            people.len(),
            "columns of line {}",
            number + 1
        );
        for (person, answer) in people.iter().zip(answers) {
            if answer != "–" {
                cells.push(Cell {
                    line: number + 1,
                    collection: collection.to_owned(),
                    action: first.to_owned(),
                    person: (*person).to_owned(),
                    expected: answer.to_owned(),
                });
            }
        }
    }
    cells
}

#[test]
fn every_collection_that_ships_has_a_table() {
    let cells = cells();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("collections");
    for entry in fs::read_dir(folder).expect("the collections") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        assert!(
            cells.iter().any(|cell| Some(&*cell.collection) == name),
            "{name:?} has no table"
        );
    }
}
