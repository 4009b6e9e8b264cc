//! `$in` over a sub-query: whether some document elsewhere has this value.
//!
//! There are two ways to say that in SQL, and the right one makes the difference between one look
//! into an index and a walk over a table:
//!
//! * `x IN (SELECT …)` collects the values once. Good where few documents match, such as the
//!   conversations of one account; the list can even drive the search for `x`.
//! * `EXISTS (SELECT … WHERE y = x …)` looks for each `x`. Good where an index finds `y`, however
//!   many documents match, such as the accounts that keep their posts to themselves.
//!
//! Where the question itself says what `x` is, as `conversation_id = …` does in a page of messages,
//! the second way needs a single look for the whole list.

use nubo_core::{
    declare::IndexKind,
    field::FieldType,
    filter::{Expr, Select, Test},
    schema::{Collection, Index},
    value::Value,
};

use super::{Builder, Scalar, Scope};
use crate::sql::{Dialect, column_of, item_kind};

/// What is known of the documents of a sub-query before its condition is looked at.
static NOTHING: Expr = Expr::always();

impl<D: Dialect> Builder<'_, D> {
    /// One of the values of a sub-query; of a list-valued field, one of the items. `pinned` is the
    /// only value that the scalar can have, where the filter says so.
    pub(super) fn select(&mut self, scalar: &Scalar<D>, pinned: Option<&Value>, select: &Select) {
        let collection = self.catalog.get(select.collection);
        if let Some(value) = pinned {
            return self.contains(select, value);
        }
        let list = is_list(collection, select);
        let few = !self.negated && finds_few(collection, select);
        if !list && !few && is_found(collection, select) {
            return self.exists(select, Some(scalar.form), |builder| {
                builder.push(&scalar.sql);
            });
        }
        self.push(format_args!("{} IN (SELECT ", scalar.sql));
        self.selected(select, Some(scalar.form), true, |_, _| {});
        self.push(")");
    }

    /// Whether the sub-query finds this value, as an expression of its own.
    pub(super) fn contains(&mut self, select: &Select, value: &Value) {
        let fields = self.catalog.get(select.collection).fields();
        let argument = D::argument(item_kind(&fields[select.field].kind), value);
        self.exists(select, None, |builder| builder.bind(argument));
    }

    fn exists(&mut self, select: &Select, form: Option<D::Form>, operand: impl FnOnce(&mut Self)) {
        self.push("EXISTS (SELECT ");
        self.selected(select, form, false, |builder, selected| {
            builder.push(format_args!("{selected} = "));
            operand(builder);
            builder.push(" AND ");
        });
        // Without a limit SQLite makes a join of it, which counts a document once for each match.
        self.push(" LIMIT 1)");
    }

    /// `selected FROM … WHERE test… condition`, in a scope of its own. The test is written in the
    /// scope outside, because that is where its operand stands. `form` is that of the value outside
    /// which the selected ones are compared with.
    fn selected(
        &mut self,
        select: &Select,
        form: Option<D::Form>,
        yields: bool,
        test: impl FnOnce(&mut Self, &str),
    ) {
        let collection = self.catalog.get(select.collection);
        let alias = self.alias();
        let column = format!("{alias}.{}", column_of(collection, select.field));
        let mut from = format!("{} AS {alias}", D::table(collection));
        let mut selected = column;
        if is_list(collection, select) {
            let item = self.alias();
            let (items, item) = D::items(&selected, &item);
            from = format!("{from}, {items}");
            selected = item;
        }
        let kind = item_kind(&collection.fields()[select.field].kind);
        let compared = match form {
            Some(form) => D::comparable(&selected, kind, form),
            None => Some(selected),
        };
        let Some(compared) = compared else {
            // Nothing outside can be what is selected.
            return self.push("NULL WHERE FALSE");
        };
        self.push(format_args!(
            "{} FROM {from} WHERE ",
            if yields { &compared } else { "1" }
        ));
        test(self, &compared);
        let outside = std::mem::replace(
            &mut self.scope,
            Scope {
                collection,
                qualifier: alias,
                pins: &NOTHING,
            },
        );
        let (item, negated) = (self.item.take(), std::mem::take(&mut self.negated));
        self.expr(&select.condition);
        (self.item, self.negated) = (item, negated);
        self.scope = outside;
    }
}

fn is_list(collection: &Collection, select: &Select) -> bool {
    matches!(collection.fields()[select.field].kind, FieldType::List(_))
}

/// The value that a field must have where this holds.
pub(super) fn pin(expr: &Expr, field: usize) -> Option<&Value> {
    match expr {
        Expr::All(parts) => parts.iter().find_map(|part| pin(part, field)),
        Expr::Test {
            path,
            test: Test::Equal(value),
        } if path.whole_field() == Some(field) && !value.is_null() => Some(value),
        _ => None,
    }
}

/// Whether the condition keeps to the few documents that an index finds by a value.
fn finds_few(collection: &Collection, select: &Select) -> bool {
    collection
        .declared_fields()
        .filter(|(index, _)| pin(&select.condition, *index).is_some())
        .any(|(index, _)| is_indexed(collection, index, &[]))
}

/// Whether an index finds a value of the selected field, beside what the condition says.
fn is_found(collection: &Collection, select: &Select) -> bool {
    let pinned: Vec<usize> = collection
        .declared_fields()
        .map(|(index, _)| index)
        .filter(|index| pin(&select.condition, *index).is_some())
        .collect();
    is_indexed(collection, select.field, &pinned)
}

/// Whether an index finds documents by a field, given values for some others.
fn is_indexed(collection: &Collection, field: usize, given: &[usize]) -> bool {
    let declared = &collection.fields()[field];
    let leads = |index: &Index| {
        let columns = index.columns.iter().map(|column| column.field);
        index.kind == IndexKind::Btree
            && index.condition.is_always()
            && columns
                .take_while(|column| *column == field || given.contains(column))
                .any(|column| column == field)
    };
    field == Collection::ID
        || declared.unique
        || matches!(declared.kind, FieldType::Ref(_))
        || collection.indexes.iter().any(leads)
}
