//! Statements, built from the checked schema.
//!
//! [`Statement`] is text with places and the arguments that go there. [`condition`] turns filters
//! into SQL, [`select`] lists, [`write`](mod@write) changes. What two databases say differently is
//! a [`Dialect`]: [`sqlite`] and [`postgres`], each with its types, its declarations of tables and
//! its way into lists and json.

pub(crate) mod condition;
pub(crate) mod index;
mod notes;
pub(crate) mod postgres;
pub(crate) mod queue;
pub(crate) mod select;
pub(crate) mod sqlite;
pub(crate) mod stored_json;
pub(crate) mod write;

use std::fmt::{self, Debug, Display, Write};

use nubo_core::{
    field::{Field, FieldType},
    filter::{Path, Test, TextMatch},
    schema::Collection,
    value::Value,
};

use self::condition::{Builder, Place, Scalar};

/// What one database says in its own way.
pub(crate) trait Dialect: Copy + Debug + Send + Sync + Sized + 'static {
    /// A value in the form the driver takes.
    type Argument: Clone + Debug + PartialEq + Send + Sync;
    /// How a value is held at the place where it stands: the form that operands must have.
    type Form: Copy;
    /// A place that holds a list or json.
    type Json: Clone;
    /// The item that `$elemMatch` looks at.
    type Item: Clone;

    /// Where the revisions of deleted documents are kept, so that an id that is used again goes on
    /// where it ended.
    const TOMBSTONES: &'static str;
    /// Where writes wait that are acknowledged already, in the order of their numbers.
    const QUEUE: &'static str;
    /// Where those are kept that could not be carried out.
    const DEAD_LETTERS: &'static str;

    /// Appends the place of the argument with this number, counted from 1.
    fn push_place(text: &mut String, number: usize);

    /// An argument written out. Only for values of the configuration, and only in DDL, which takes
    /// no arguments.
    fn literal(argument: &Self::Argument) -> String;

    /// A value of this type.
    fn argument(kind: &FieldType, value: &Value) -> Self::Argument;

    /// A value of a field: objects need their fields' names.
    fn field_argument(field: &Field, value: &Value) -> Self::Argument;

    /// A number of 64 bits.
    fn integer(number: i64) -> Self::Argument;

    /// A text.
    fn text_argument(text: &str) -> Self::Argument;

    /// The table of a collection.
    fn table(collection: &Collection) -> String;

    /// What follows a column in an order: its direction, and where nulls go if there can be any.
    fn direction(collection: &Collection, field: usize, descending: bool) -> &'static str;

    /// What goes into `FROM` to have the items of a list-valued column under an alias, and what
    /// the item is called then.
    fn items(column: &str, alias: &str) -> (String, String);

    /// Appends that a column of this type has one of some values.
    fn among(statement: &mut Statement<Self>, sql: &str, kind: &FieldType, values: &[Value]);

    /// Appends writes to the queue, in their packed form and in this order. `now` in milliseconds.
    fn enqueue(packed: Vec<Vec<u8>>, now: i64) -> Statement<Self>;

    /// A selected column in a form that compares with a value that stands elsewhere; none where
    /// no two values can be the same.
    fn comparable(selected: &str, kind: &FieldType, with: Self::Form) -> Option<String>;

    /// The argument for a place that has this form.
    fn operand(form: Self::Form, value: &Value) -> Self::Argument;

    /// Where a path leads.
    fn place(builder: &Builder<'_, Self>, path: &Path) -> Place<Self>;

    /// Appends that a value is one of several, none of them null and at least one.
    fn within(builder: &mut Builder<'_, Self>, scalar: &Scalar<Self>, values: &[&Value]);

    /// Appends a search in text.
    fn text(builder: &mut Builder<'_, Self>, scalar: &str, how: TextMatch, wanted: &str);

    /// Appends a test of a typed list.
    fn list(builder: &mut Builder<'_, Self>, json: &Self::Json, kind: &FieldType, test: &Test);

    /// Appends a test of untyped json, or of the presence of an object.
    fn json(builder: &mut Builder<'_, Self>, json: &Self::Json, test: &Test);
}

/// A statement and its arguments, in the order of their places.
#[derive(Debug, Clone)]
pub(crate) struct Statement<D: Dialect> {
    pub text: String,
    pub arguments: Vec<D::Argument>,
    written_out: bool,
}

impl<D: Dialect> Statement<D> {
    /// A statement that begins with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            arguments: Vec::new(),
            written_out: false,
        }
    }

    /// Text in which arguments are written out, for DDL.
    pub fn written_out() -> Self {
        Self {
            written_out: true,
            ..Self::new("")
        }
    }

    /// Appends text.
    pub fn push(&mut self, text: impl Display) -> &mut Self {
        // Writing into a string cannot fail.
        let written = write!(self.text, "{text}");
        debug_assert!(written.is_ok());
        self
    }

    /// Appends a place and its argument.
    pub fn bind(&mut self, argument: D::Argument) -> &mut Self {
        if self.written_out {
            self.text.push_str(&D::literal(&argument));
        } else {
            D::push_place(&mut self.text, self.arguments.len() + 1);
            self.arguments.push(argument);
        }
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

impl Display for Quoted<'_> {
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

/// The column of a field, quoted.
pub(crate) fn column_of(collection: &Collection, field: usize) -> String {
    Quoted(&bare_column(collection, field)).to_string()
}

/// The name of a field's column. A password's hash is called so.
pub(crate) fn bare_column(collection: &Collection, field: usize) -> String {
    let field = &collection.fields()[field];
    match field.kind {
        FieldType::Password => format!("{}_hash", field.name),
        _ => field.name.clone(),
    }
}

/// The type of a field's single values: of a list, of its items.
pub(crate) fn item_kind(kind: &FieldType) -> &FieldType {
    match kind {
        FieldType::List(item) => item,
        kind => kind,
    }
}

/// A stored value that is not what its column says: the database was changed by other hands.
#[derive(Debug, thiserror::Error)]
#[error("the column of `{field}` holds something that is no {kind}")]
pub(crate) struct Corrupt {
    field: String,
    kind: String,
}

impl Corrupt {
    pub fn of(field: &Field) -> Self {
        Self {
            field: field.name.clone(),
            kind: field.kind.word(),
        }
    }
}
