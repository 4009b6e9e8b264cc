//! `write: behind`: whether everything that decides about a new document is known when its sender
//! gets the answer. What is only found out when it is carried out must not be able to refuse it.

use std::collections::HashSet;

use crate::{
    change::Action,
    declare::{CollectionDeclaration, Kind, OnDelete, Trigger},
    field::{Field, FieldType, Reference},
    filter::{Operand, Variable},
    mistake::Mistake,
    schema::{Catalog, Collection, CollectionId, Effect, EffectAction, Rule},
};

use super::{Report, each, unique};

/// Why nothing can be unique.
const NOT_UNIQUE: &str = "with `write: behind` a new document is acknowledged before anybody knows \
                       whether its value is taken";

/// Says what needs an answer that `write: behind` does not wait for.
pub(super) fn check(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    catalog: &Catalog,
    mistakes: &mut Vec<Mistake>,
) {
    let mut position = 0;
    each(declarations, excused, mistakes, |declaration, report| {
        let collection = &catalog.collections[position];
        position += 1;
        if !collection.is_behind() {
            return;
        }
        if declaration.kind == Kind::Flux {
            report.inside("write", |report| {
                report.value(
                    "a collection with `kind: flux` stores nothing, so that nothing is behind",
                    None,
                );
            });
            return;
        }
        if !collection.tiers.truth {
            report.inside("tiers", |report| {
                report.inside("truth", |report| {
                    report.value(
                        "with `write: behind` the truth must have the collection, for the queue is \
                         there",
                        None,
                    );
                });
            });
        }
        unique::refuse(declaration, NOT_UNIQUE, report);
        rules(collection, report);
        effects(declaration, collection, catalog, report);
    });
}

/// Rules of new documents that look at others.
fn rules(collection: &Collection, report: &mut Report<'_>) {
    const WHY: &str = "with `write: behind` a new document is acknowledged before the rule looks \
                       at other documents; it may only be about the document and who sends it";
    let looks = |rule: &Option<Rule>| {
        let mut looks = false;
        if let Some(rule) = rule {
            rule.for_each_selected(&mut |_| looks = true);
        }
        looks
    };
    if looks(&collection.access.create) {
        report.inside("access", |report| {
            report.inside("create", |report| report.value(WHY, None));
        });
    }
    report.inside("fields", |report| {
        for rules in collection.access.fields.iter() {
            if looks(&rules.writable_by) {
                report.inside(&collection.fields[rules.field].name, |report| {
                    report.inside("writable_by", |report| report.value(WHY, None));
                });
            }
        }
    });
}

fn effects(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) {
    // Some are missing where they have mistakes of their own.
    if collection.effects.len() != declaration.effects.len() {
        return;
    }
    report.inside("effects", |report| {
        for (at, effect) in collection.effects.iter().enumerate() {
            if effect.on != Trigger::Create {
                continue;
            }
            let mut walk = Walk {
                catalog,
                seen: HashSet::new(),
            };
            if let Some(why) = walk.effect(collection, effect) {
                let message = format!(
                    "{why}, which may be refused; with `write: behind` the document that causes it \
                     is acknowledged before that"
                );
                report.inside(at, |report| report.value(message, None));
            }
        }
    });
}

/// The way from effect to effect.
struct Walk<'a> {
    catalog: &'a Catalog,
    seen: HashSet<(CollectionId, Trigger)>,
}

impl Walk<'_> {
    /// What of an effect may be refused, in words.
    fn effect(&mut self, cause: &Collection, effect: &Effect) -> Option<String> {
        let through = effect.for_each.as_ref();
        let through = through.map(|(collection, _)| &**self.catalog.get(*collection));
        let leads = |operand: &Operand, reference: &Reference| {
            leads_somewhere(operand, reference, cause, through)
        };
        match &effect.action {
            EffectAction::Create { collection, values } => {
                let target = self.catalog.get(*collection).clone();
                if let Some(name) = some_unique(&target) {
                    return Some(format!(
                        "it creates documents in {}, where `{name}` must be unique",
                        target.name
                    ));
                }
                for (field, operand) in values {
                    let field = &target.fields[*field];
                    if reference_of(&field.kind).is_some_and(|to| !leads(operand, to)) {
                        return Some(leads_nowhere(field, &target));
                    }
                }
                self.follow(&target, Trigger::Create)
            }
            EffectAction::Update {
                collection, change, ..
            } => {
                let target = self.catalog.get(*collection).clone();
                for step in &change.steps {
                    let Some(index) = step.path.field() else {
                        continue;
                    };
                    let field = &target.fields[index];
                    if is_unique(&target, index) {
                        return Some(format!(
                            "it changes `{}` of {}, which must be unique",
                            field.name, target.name
                        ));
                    }
                    let Some(to) = reference_of(&field.kind) else {
                        continue;
                    };
                    let is_harmless = match &step.action {
                        Action::Unset | Action::Pull(_) => !field.required,
                        Action::Set(operand) => leads(operand, to),
                        Action::Push(operands) | Action::AddToSet(operands) => {
                            operands.iter().all(|operand| leads(operand, to))
                        }
                        _ => false,
                    };
                    if !is_harmless {
                        return Some(leads_nowhere(field, &target));
                    }
                }
                self.follow(&target, Trigger::Update)
            }
            EffectAction::Delete { collection, .. } => self.deletion(*collection),
        }
    }

    /// What a write causes in turn.
    fn follow(&mut self, collection: &Collection, on: Trigger) -> Option<String> {
        if !self.seen.insert((collection.id, on)) {
            return None;
        }
        let effects = collection.effects.iter().filter(|effect| effect.on == on);
        let mut found = effects.filter_map(|effect| self.effect(collection, effect));
        found.next()
    }

    fn deletion(&mut self, collection: CollectionId) -> Option<String> {
        let target = self.catalog.get(collection).clone();
        if self.seen.contains(&(collection, Trigger::Delete)) {
            return None;
        }
        if let Some(why) = self.follow(&target, Trigger::Delete) {
            return Some(why);
        }
        for reverse in &target.referenced_by {
            let other = self.catalog.get(reverse.collection).clone();
            let why = match reverse.on_delete {
                OnDelete::Restrict => Some(format!(
                    "it deletes documents of {}, to which `{}` of {} refers",
                    target.name, other.fields[reverse.field].name, other.name
                )),
                OnDelete::Cascade => self.deletion(other.id),
                OnDelete::SetNull => self.follow(&other, Trigger::Update),
            };
            if why.is_some() {
                return why;
            }
        }
        None
    }
}

fn leads_nowhere(field: &Field, target: &Collection) -> String {
    format!(
        "it gives `{}` of {} a reference that may lead nowhere",
        field.name, target.name
    )
}

/// Where a field refers to, by itself or by its items.
fn reference_of(kind: &FieldType) -> Option<&Reference> {
    match kind {
        FieldType::Ref(reference) => Some(reference),
        FieldType::List(item) => reference_of(item),
        _ => None,
    }
}

/// Whether a value is taken from where it is known to lead somewhere: a document's own id, or a
/// reference of it that was checked.
fn leads_somewhere(
    operand: &Operand,
    to: &Reference,
    cause: &Collection,
    through: Option<&Collection>,
) -> bool {
    let (from, field) = match operand {
        Operand::Value(value) => return value.is_null(),
        Operand::Variable(Variable::Doc(field)) => (Some(cause), *field),
        Operand::Variable(Variable::Each(field)) => (through, *field),
        Operand::Variable(_) | Operand::Template(_) => return false,
    };
    from.is_some_and(|from| match field {
        Collection::ID => from.id == to.collection,
        field => reference_of(&from.fields[field].kind)
            .is_some_and(|reference| reference.collection == to.collection),
    })
}

/// A field that must be unique.
fn some_unique(collection: &Collection) -> Option<&str> {
    let mut fields = 0..collection.fields.len();
    let unique = fields.find(|field| is_unique(collection, *field))?;
    Some(&collection.fields[unique].name)
}

/// Whether a change of a field may meet another document's value. A condition lets a document into a
/// unique index without a change of its columns.
fn is_unique(collection: &Collection, field: usize) -> bool {
    let mut unique = collection.indexes.iter().filter(|index| index.unique);
    collection.fields[field].unique
        || unique.any(|index| {
            let mut asked = index.columns.iter().any(|column| column.field == field);
            index
                .condition
                .for_each_field(&mut |condition| asked |= condition == field);
            asked
        })
}
