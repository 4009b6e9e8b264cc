//! `nubo schema`: the JSON Schemas by which editors complete and check the YAML files.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use nubo_core::module::Section;

use crate::config::schema;

/// Prints the JSON Schema of a kind of file.
#[derive(Debug, Args)]
pub struct Schema {
    /// Which file.
    #[arg(value_enum, default_value_t)]
    file: SchemaFile,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum SchemaFile {
    /// nubo.yaml
    #[default]
    Nubo,
    /// A file in collections/
    Collection,
}

impl Schema {
    /// Writes the schema to `out`.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn run(
        &self,
        sections: &[(&'static str, Section)],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let schema = match self.file {
            SchemaFile::Nubo => schema::nubo(sections),
            SchemaFile::Collection => schema::collection(),
        };
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        writeln!(out)
    }
}
