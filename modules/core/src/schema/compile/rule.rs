//! Access rules, and the filters that they and others are made of.

use serde_json::Value as Json;

use crate::{
    declare::{CollectionDeclaration, FieldDeclaration, RuleDeclaration},
    field::Source,
    filter::{Expr, Operand, Reader, Variables},
    mistake::nearest,
    schema::{Access, Catalog, Collection, FieldRules, Rule},
};

use super::Report;

const RULE_WORDS: [&str; 5] = ["public", "authenticated", "owner", "none", "role:"];

pub(super) fn access(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) -> Access {
    let declared = &declaration.access;
    let mut access = report.inside("access", |report| {
        let mut one = |key: &str, declared: &Option<RuleDeclaration>| {
            declared.as_ref().and_then(|rule| {
                report.inside(key, |report| self::rule(rule, collection, catalog, report))
            })
        };
        Access {
            read: one("read", &declared.read),
            create: one("create", &declared.create),
            update: one("update", &declared.update),
            delete: one("delete", &declared.delete),
            fields: Vec::new(),
        }
    });
    report.inside("fields", |report| {
        for (name, field) in &declaration.fields {
            let FieldDeclaration::Long(options) = field else {
                continue;
            };
            let Some((index, _)) = collection.field_named(name) else {
                continue;
            };
            let rules = report.inside(name, |report| {
                let mut one = |key: &str, declared: &Option<RuleDeclaration>| {
                    declared.as_ref().and_then(|rule| {
                        report.inside(key, |report| self::rule(rule, collection, catalog, report))
                    })
                };
                FieldRules {
                    field: index,
                    readable_by: one("readable_by", &options.readable_by),
                    writable_by: one("writable_by", &options.writable_by),
                }
            });
            if rules.readable_by.is_some() || rules.writable_by.is_some() {
                access.fields.push(rules);
            }
        }
    });
    access
}

fn rule(
    declaration: &RuleDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) -> Option<Rule> {
    match declaration {
        RuleDeclaration::Word(word) => match word.as_str() {
            "public" => Some(Rule::Public),
            "authenticated" => Some(Rule::Authenticated),
            "none" => Some(Rule::Nobody),
            "owner" if collection.owner.is_none() => {
                if !report.names_owner {
                    report.value("`owner` needs the collection's `owner:` field", None);
                }
                None
            }
            "owner" => Some(Rule::Owner),
            word => match word.strip_prefix("role:") {
                Some(role) if !role.is_empty() => Some(Rule::Role(role.to_owned())),
                _ => {
                    report.value(
                        format!("unknown rule `{word}`"),
                        nearest(word, RULE_WORDS).map(str::to_owned),
                    );
                    None
                }
            },
        },
        RuleDeclaration::Any(rules) => {
            let rules = rules.iter().enumerate().map(|(index, rule)| {
                report.inside(index, |report| {
                    self::rule(rule, collection, catalog, report)
                })
            });
            rules
                .collect::<Vec<_>>()
                .into_iter()
                .collect::<Option<_>>()
                .map(Rule::Any)
        }
        RuleDeclaration::Filter(entries) => {
            let json = Json::Object(entries.clone());
            filter(&json, collection, catalog, Variables::Auth, report).map(Rule::Filter)
        }
    }
}

pub(super) fn filter(
    json: &Json,
    collection: &Collection,
    catalog: &Catalog,
    variables: Variables<'_>,
    report: &mut Report<'_>,
) -> Option<Expr<Operand>> {
    let reader = Reader {
        catalog,
        collection,
        source: Source::Json,
        variables,
    };
    match reader.read_operands(json) {
        Ok(expr) => Some(expr),
        Err(violations) => {
            report.violations(&violations, |violation| violation.message.clone());
            None
        }
    }
}
