//! Collections in which nothing can be unique, for reasons of their own.

use crate::declare::{CollectionDeclaration, FieldDeclaration, IndexDeclaration};

use super::Report;

/// Says why of everything that is declared to be unique.
pub(super) fn refuse(declaration: &CollectionDeclaration, why: &str, report: &mut Report<'_>) {
    report.inside("fields", |report| {
        for (name, field) in &declaration.fields {
            if let FieldDeclaration::Long(options) = field
                && options.unique
            {
                report.inside(name, |report| {
                    report.inside("unique", |report| report.value(why, None));
                });
            }
        }
    });
    report.inside("indexes", |report| {
        for (at, index) in declaration.indexes.iter().enumerate() {
            if let IndexDeclaration::Options(options) = index
                && options.unique
            {
                report.inside(at, |report| {
                    report.inside("unique", |report| report.value(why, None));
                });
            }
        }
    });
}
