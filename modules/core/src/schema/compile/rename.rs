//! `renamed_from`: whether it can be told what became of a name.

use super::{Report, each};
use crate::{
    declare::{CollectionDeclaration, FieldDeclaration, Kind},
    mistake::Mistake,
    schema::fields::{SYSTEM_FIELDS, is_identifier},
};

/// Checks the former names of collections and of their fields.
pub(super) fn check(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    mistakes: &mut Vec<Mistake>,
) {
    let mut claimed: Vec<(&str, &str)> = Vec::new();
    let mut position = 0;
    each(declarations, excused, mistakes, |_, report| {
        let declaration = &declarations[position];
        position += 1;
        if let Some(former) = &declaration.renamed_from {
            report.inside("renamed_from", |report| {
                if declaration.kind == Kind::Flux {
                    report.key("what is not stored has nothing to take along");
                }
                let names = declarations.iter().map(|other| other.name.as_str());
                let claim = (former.as_str(), declaration.name.as_str());
                one(claim, names, &mut claimed, "collection", report);
            });
        }
        fields(declaration, report);
    });
}

fn fields(declaration: &CollectionDeclaration, report: &mut Report<'_>) {
    let mut claimed: Vec<(&str, &str)> = Vec::new();
    report.inside("fields", |report| {
        for (name, field) in &declaration.fields {
            let FieldDeclaration::Long(options) = field else {
                continue;
            };
            let Some(former) = &options.renamed_from else {
                continue;
            };
            report.inside(name, |report| {
                report.inside("renamed_from", |report| {
                    let names = declaration.fields.keys().map(String::as_str);
                    let names = names.chain(SYSTEM_FIELDS);
                    one((former, name), names, &mut claimed, "field", report);
                });
            });
        }
    });
}

/// A former name and the one who claims it, among the names that there are.
fn one<'a>(
    (former, name): (&'a str, &'a str),
    mut names: impl Iterator<Item = &'a str>,
    claimed: &mut Vec<(&'a str, &'a str)>,
    what: &str,
    report: &mut Report<'_>,
) {
    if !is_identifier(former) {
        report.value(
            "must be lower-case letters, digits and underscores, a letter first",
            None,
        );
    } else if former == name {
        report.value(format!("the {what} is called `{name}` already"), None);
    } else if names.any(|other| other == former) {
        report.value(
            format!("the {what} `{former}` is still declared, so it was not renamed"),
            None,
        );
    } else if let Some((_, other)) = claimed.iter().find(|(claimed, _)| *claimed == former) {
        report.value(format!("`{other}` was `{former}` already"), None);
    } else {
        claimed.push((former, name));
    }
}
