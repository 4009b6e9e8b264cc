//! What a write causes elsewhere.

use crate::{
    change,
    declare::EffectDeclaration,
    filter::{Expr, Variables},
    mistake::nearest,
    schema::{Catalog, Collection, Effect, EffectAction},
};

use super::{Report, rule::filter};

pub(super) fn effect(
    declaration: &EffectDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) -> Option<Effect> {
    let alone = Variables::Effect {
        doc: collection,
        each: None,
    };
    let when = match &declaration.when {
        None => Some(Expr::always()),
        Some(json) => report.inside("when", |report| {
            let when = filter(json, collection, catalog, alone, report)?;
            if when.has_sub_query() {
                report.value("asks for the causing document alone, without $select", None);
                return None;
            }
            Some(when)
        }),
    };
    let find = |name: &str, report: &mut Report<'_>| {
        let found = catalog.named(name);
        if found.is_none() && !report.is_excused(name) {
            let suggestion = nearest(name, catalog.names()).map(str::to_owned);
            report.value(format!("there is no collection `{name}`"), suggestion);
        }
        found.cloned()
    };
    let mut each = None;
    let for_each = match &declaration.for_each {
        None => Some(None),
        Some(through) => report.inside("for_each", |report| {
            let found = report.inside("in", |report| find(&through.collection, report))?;
            each = Some(found.clone());
            let condition = report.inside("where", |report| {
                filter(&through.condition, &found, catalog, alone, report)
            })?;
            Some(Some((found.id, condition)))
        }),
    };
    let variables = Variables::Effect {
        doc: collection,
        each: each.as_deref(),
    };
    let targets = [
        ("update", &declaration.update),
        ("create", &declaration.create),
        ("delete", &declaration.delete),
    ];
    let mut named = targets
        .iter()
        .filter_map(|(key, name)| Some((*key, name.as_ref()?)));
    let (Some((verb, name)), None) = (named.next(), named.next()) else {
        report.value("needs exactly one of `update`, `create` and `delete`", None);
        return None;
    };
    let target = report.inside(verb, |report| find(name, report))?;
    let condition = match &declaration.condition {
        Some(json) if verb != "create" => report.inside("where", |report| {
            filter(json, &target, catalog, variables, report)
        }),
        Some(_) => {
            report.inside("where", |report| {
                report.key("a document that is created is not looked for")
            });
            None
        }
        None if verb == "create" => Some(Expr::always()),
        None => {
            report.value(
                format!("`{verb}` needs `where`, the documents it is about"),
                None,
            );
            None
        }
    };
    let change = change::read_effect(declaration, &target, catalog, variables);
    let change = change.map_err(|violations| {
        report.violations(&violations, |violation| violation.message.clone());
    });
    let action = match verb {
        "create" => EffectAction::Create {
            collection: target.id,
            values: change.ok()?.into_values(),
        },
        "update" => EffectAction::Update {
            collection: target.id,
            condition: condition?,
            change: change.ok()?,
        },
        _ => EffectAction::Delete {
            collection: target.id,
            condition: condition?,
        },
    };
    Some(Effect {
        on: declaration.on,
        when: when?,
        for_each: for_each?,
        action,
    })
}
