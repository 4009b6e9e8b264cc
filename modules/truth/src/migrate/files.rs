//! Migrations as files that people review: `0001_initial.sql`, and `0001_initial.down.sql` which
//! takes it back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nubo_core::module::SetupError;
use sha2::{Digest, Sha256};

const DOWN: &str = ".down.sql";
const UP: &str = ".sql";

/// A migration in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its place in the order.
    pub number: u32,
    /// What it is called, without the number.
    pub name: String,
    /// The SQL.
    pub(crate) up: String,
    /// What takes it back.
    pub(crate) down: Option<String>,
}

impl Migration {
    /// How its file is called, without the ending.
    pub fn title(&self) -> String {
        format!("{:04}_{}", self.number, self.name)
    }

    /// What tells whether the file has been changed since it was applied.
    pub(crate) fn checksum(&self) -> String {
        // However a checkout writes the ends of lines.
        let text = self.up.replace("\r\n", "\n");
        let hash = Sha256::digest(text.as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The migrations of a folder, by number; none where there is no folder.
pub(crate) fn read(folder: &Path) -> Result<Vec<Migration>, SetupError> {
    let cannot =
        |error: io::Error| SetupError::caused(format!("cannot read {}", folder.display()), error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot(error)),
    };
    let mut found: Vec<Migration> = Vec::new();
    for entry in entries {
        let path = entry.map_err(cannot)?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if !file.ends_with(UP) || file.ends_with(DOWN) {
            continue;
        }
        let title = &file[..file.len() - UP.len()];
        let parts = title.split_once('_');
        let parts = parts.and_then(|(number, name)| Some((number.parse().ok()?, name)));
        let Some((number, name)) = parts else {
            return Err(SetupError::new(format!(
                "{} is not called as a migration is, such as 0002_more.sql",
                path.display()
            )));
        };
        if let Some(other) = found.iter().find(|other| other.number == number) {
            return Err(SetupError::new(format!(
                "there are two migrations {number:04}: `{}` and `{name}`",
                other.name
            )));
        }
        let down = path.with_file_name(format!("{title}{DOWN}"));
        let down = match fs::read_to_string(down) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot(error)),
        };
        found.push(Migration {
            number,
            name: name.to_owned(),
            up: fs::read_to_string(&path).map_err(cannot)?,
            down,
        });
    }
    found.sort_by_key(|migration| migration.number);
    Ok(found)
}

/// Writes a new migration and says which files it is.
pub(crate) fn write(folder: &Path, migration: &Migration) -> Result<Vec<PathBuf>, SetupError> {
    let title = migration.title();
    let down = migration.down.as_ref().map(|text| (DOWN, text));
    let write = |(ending, text): (&str, &String)| {
        let path = folder.join(format!("{title}{ending}"));
        // Never over somebody else's.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        Ok(path)
    };
    fs::create_dir_all(folder)
        .and_then(|()| {
            [(UP, &migration.up)]
                .into_iter()
                .chain(down)
                .map(write)
                .collect()
        })
        .map_err(|error| SetupError::caused(format!("cannot write {}", folder.display()), error))
}

/// A name fit for a file.
pub(crate) fn name_of(text: &str) -> String {
    let mut name = String::new();
    for c in text.to_lowercase().chars() {
        match c.is_ascii_alphanumeric() {
            true => name.push(c),
            false if !name.ends_with('_') => name.push('_'),
            false => {}
        }
    }
    name.trim_matches('_').to_owned()
}
