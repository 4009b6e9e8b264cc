//! Which fields of the account the access rules mention as `$auth.<field>`: those travel with every
//! caller, and no others.

use std::collections::BTreeMap;

use nubo_core::{
    field::{Field, FieldType},
    filter::{Expr, Operand, Test, Variable},
    nearest,
    schema::{Catalog, Rule},
};

use crate::model::AccountModel;

/// A variable that stands for nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub collection: String,
    /// As it is written: `$auth.nmae`.
    pub variable: String,
    pub message: String,
    /// The nearest variable there is.
    pub suggestion: Option<String>,
}

/// Their names and their indexes. `id` and `roles` are known without.
pub(crate) fn resolve(
    catalog: &Catalog,
    accounts: &AccountModel,
) -> Result<Vec<(String, usize)>, Vec<Unknown>> {
    let mut found = BTreeMap::new();
    let mut unknown = Vec::new();
    for collection in catalog.collections() {
        let access = &collection.access;
        let whole = [&access.read, &access.create, &access.update, &access.delete];
        let fields = access.fields.iter();
        let parts = fields.flat_map(|rules| [&rules.readable_by, &rules.writable_by]);
        for rule in whole.into_iter().chain(parts).flatten() {
            let mut names = Vec::new();
            of_rule(rule, &mut names);
            for name in names {
                if matches!(name, "id" | "roles") || found.contains_key(name) {
                    continue;
                }
                match resolve_one(accounts, name) {
                    Ok(index) => {
                        found.insert(name.to_owned(), index);
                    }
                    Err((message, word)) => unknown.push(Unknown {
                        collection: collection.name.clone(),
                        variable: format!("$auth.{name}"),
                        message,
                        suggestion: word.map(|word| format!("$auth.{word}")),
                    }),
                }
            }
        }
    }
    match unknown.is_empty() {
        true => Ok(found.into_iter().collect()),
        false => Err(unknown),
    }
}

/// The index of a field of the account; or what is wrong, and which may have been meant.
fn resolve_one<'a>(
    accounts: &'a AccountModel,
    name: &str,
) -> Result<usize, (String, Option<&'a str>)> {
    let collection = &accounts.collection;
    match collection.field_named(name) {
        Some((_, field)) if field.kind == FieldType::Password => {
            Err((format!("`{}.{name}` is a password", collection.name), None))
        }
        Some((index, _)) => Ok(index),
        None => {
            let readable = |field: &&Field| field.kind != FieldType::Password;
            let fields = collection.fields().iter().filter(readable);
            let names = fields.map(|field| field.name.as_str());
            let message = format!("accounts (`{}`) have no field `{name}`", collection.name);
            Err((message, nearest(name, names)))
        }
    }
}

fn of_rule<'a>(rule: &'a Rule, names: &mut Vec<&'a str>) {
    match rule {
        Rule::Filter(expr) => of_expr(expr, names),
        Rule::Any(rules) => rules.iter().for_each(|rule| of_rule(rule, names)),
        Rule::Public | Rule::Authenticated | Rule::Owner | Rule::Role(_) | Rule::Nobody => {}
    }
}

fn of_expr<'a>(expr: &'a Expr<Operand>, names: &mut Vec<&'a str>) {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().for_each(|part| of_expr(part, names)),
        Expr::Not(part) => of_expr(part, names),
        Expr::Test { test, .. } => match test {
            Test::Equal(operand) | Test::Compare(_, operand) | Test::Text(_, operand) => {
                of_operand(operand, names);
            }
            Test::In(operands) | Test::HasAll(operands) => {
                operands
                    .iter()
                    .for_each(|operand| of_operand(operand, names));
            }
            Test::InSelect(select) => of_expr(&select.condition, names),
            Test::ElemMatch(inner) => of_expr(inner, names),
            Test::Exists | Test::Size(_) => {}
        },
    }
}

fn of_operand<'a>(operand: &'a Operand, names: &mut Vec<&'a str>) {
    if let Operand::Variable(Variable::Auth(name)) = operand {
        names.push(name.as_str());
    }
}
