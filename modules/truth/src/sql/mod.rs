//! Statements, built from the checked schema.
//!
//! [`Statement`] is text with numbered places and the arguments that go there. [`condition`] turns
//! filters into SQL, [`select`] lists, [`write`](mod@write) changes and [`table`] declarations.
//! What is peculiar to SQLite's JSON functions stands in [`condition`] and [`encode`] only.

pub(crate) mod condition;
pub(crate) mod encode;
pub(crate) mod select;
pub(crate) mod table;
pub(crate) mod write;

use std::fmt::{self, Write};

use nubo_core::schema::Collection;

/// A value in the form the database takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// A statement and its arguments, in the order of their places.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statement {
    pub text: String,
    pub arguments: Vec<Argument>,
}

impl Statement {
    /// A statement that begins with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            arguments: Vec::new(),
        }
    }

    /// Appends text.
    pub fn push(&mut self, text: impl fmt::Display) -> &mut Self {
        // Writing into a string cannot fail.
        let written = write!(self.text, "{text}");
        debug_assert!(written.is_ok());
        self
    }

    /// Appends a place and its argument.
    pub fn bind(&mut self, argument: Argument) -> &mut Self {
        self.text.push('?');
        self.arguments.push(argument);
        self
    }

    /// Appends parts with something between them.
    pub fn join<T>(
        &mut self,
        parts: impl IntoIterator<Item = T>,
        between: &str,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                self.text.push_str(between);
            }
            each(self, part);
        }
        self
    }
}

/// An identifier, quoted. They come from the checked schema; doubling quotes is a second fence.
pub(crate) struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for part in self.0.split_inclusive('"') {
            f.write_str(part)?;
            if part.ends_with('"') {
                f.write_char('"')?;
            }
        }
        f.write_char('"')
    }
}

/// The table of a collection.
pub(crate) fn table_of(collection: &Collection) -> Quoted<'_> {
    Quoted(&collection.tiers.table)
}

/// The column of a field. A password's hash is called so.
pub(crate) fn column_of(collection: &Collection, field: usize) -> String {
    let field = &collection.fields()[field];
    match field.kind {
        nubo_core::field::FieldType::Password => {
            Quoted(&format!("{}_hash", field.name)).to_string()
        }
        _ => Quoted(&field.name).to_string(),
    }
}
