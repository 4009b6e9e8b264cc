//! From declarations to a catalog, or to everything that is wrong with them.
//!
//! In two passes, because everything may refer to everything: first the names and fields of all
//! collections, then what mentions them (orders, indexes, rules, effects).

use std::{collections::HashMap, sync::Arc};

use serde_json::Value as Json;

use super::{
    Access, Catalog, Collection, CollectionId, Effect, EffectAction, FieldRules, Index,
    IndexColumn, Reverse, Rule, SortKey, Tiers, fields,
};
use crate::{
    change,
    declare::{
        CollectionDeclaration, EffectDeclaration, FieldDeclaration, IndexDeclaration, IndexKind,
        IndexOptions, RuleDeclaration, TruthTierDeclaration,
    },
    field::{Field, FieldType, Source},
    filter::{Expr, NoVariables, Operand, Reader, Variables},
    mistake::{Mistake, nearest, without_hint},
    violation::{Pointer, Violation},
};

const WINDOW: &str = "30d";
const RULE_WORDS: [&str; 5] = ["public", "authenticated", "owner", "none", "role:"];

/// Collects the mistakes of one declaration, each at the place where it stands.
pub(super) struct Report<'a> {
    declaration: usize,
    at: Pointer,
    mistakes: &'a mut Vec<Mistake>,
    excused: &'a [String],
    /// Fields of this declaration whose type could not be told: what follows from that is not said.
    broken: Vec<String>,
    /// Whether an owner is named, rightly or wrongly.
    names_owner: bool,
}

impl Report<'_> {
    /// Runs a part one key further in.
    pub(super) fn inside<T>(
        &mut self,
        key: impl std::fmt::Display,
        part: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut at = std::mem::take(&mut self.at);
        let result = at.at(key, |inner| {
            self.at = inner.clone();
            part(self)
        });
        self.at = at;
        result
    }

    /// The key here is a mistake.
    pub(super) fn key(&mut self, message: impl Into<String>) {
        self.add(true, message.into(), None, "");
    }

    /// The value here is a mistake.
    pub(super) fn value(&mut self, message: impl Into<String>, suggestion: Option<String>) {
        self.add(false, message.into(), suggestion, "");
    }

    /// What the value here violates.
    pub(super) fn violations(&mut self, found: &[Violation], word: impl Fn(&Violation) -> String) {
        for violation in found {
            let at_key = matches!(violation.code, "unknown_field" | "unknown_operator");
            let message = word(violation);
            let (message, suggestion) = without_hint(&message);
            let suggestion = suggestion.map(str::to_owned);
            self.add(at_key, message.to_owned(), suggestion, &violation.path);
        }
    }

    /// Whether nobody knows what this field should have been.
    fn is_broken(&self, field: &Field) -> bool {
        self.broken.contains(&field.name)
    }

    /// Whether a name is missing only because its file could not be read.
    pub(super) fn is_excused(&self, name: &str) -> bool {
        self.excused.iter().any(|excused| excused == name)
    }

    fn add(&mut self, at_key: bool, message: String, suggestion: Option<String>, below: &str) {
        self.mistakes.push(Mistake {
            declaration: self.declaration,
            pointer: format!("{}{below}", self.at.as_str()),
            at_key,
            message,
            suggestion,
        });
    }
}

impl Catalog {
    /// Compiles collections. `reserved` are names that no collection may have, because routes of
    /// the server do.
    pub fn compile(
        declarations: &[CollectionDeclaration],
        reserved: &[&str],
    ) -> Result<Self, Vec<Mistake>> {
        Self::compile_with_gaps(declarations, reserved, &[])
    }

    /// The same where some collections could not be read: nothing is said about mentions of those.
    pub fn compile_with_gaps(
        declarations: &[CollectionDeclaration],
        reserved: &[&str],
        unread: &[String],
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut catalog = names(declarations, reserved, unread, &mut mistakes);
        let field_lists: Vec<Vec<Field>> = each(
            declarations,
            unread,
            &mut mistakes,
            |declaration, report| fields::compile(&declaration.fields, &catalog, report),
        );
        for (slot, fields) in catalog.collections.iter_mut().zip(field_lists) {
            let collection = Arc::make_mut(slot);
            collection.by_name = fields
                .iter()
                .enumerate()
                .map(|(index, field)| (field.name.clone(), index))
                .collect();
            collection.sent = (0..fields.len()).filter(|i| fields[*i].is_sent()).collect();
            collection.fields = fields;
        }
        if !mistakes.is_empty() {
            // What follows would only repeat them: a field of unknown type has no operators.
            let known: Vec<_> = mistakes
                .iter()
                .map(|m| (m.declaration, m.pointer.clone()))
                .collect();
            details(declarations, unread, &mut catalog, &mut mistakes);
            let mut later = mistakes.split_off(known.len());
            later.retain(|m| !known.contains(&(m.declaration, m.pointer.clone())));
            mistakes.extend(later);
            return Err(mistakes);
        }
        details(declarations, unread, &mut catalog, &mut mistakes);
        if mistakes.is_empty() {
            Ok(catalog)
        } else {
            Err(mistakes)
        }
    }
}

fn each<T>(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    mistakes: &mut Vec<Mistake>,
    mut part: impl FnMut(&CollectionDeclaration, &mut Report<'_>) -> T,
) -> Vec<T> {
    declarations
        .iter()
        .enumerate()
        .map(|(index, declaration)| {
            let broken = declaration
                .fields
                .keys()
                .filter(|name| {
                    let pointer = format!("/fields/{name}");
                    mistakes.iter().any(|mistake| {
                        mistake.declaration == index
                            && matches!(mistake.pointer.strip_prefix(&pointer), Some("" | "/type"))
                    })
                })
                .cloned()
                .collect();
            let mut report = Report {
                declaration: index,
                at: Pointer::root(),
                mistakes,
                excused,
                broken,
                names_owner: declaration.owner.is_some(),
            };
            part(declaration, &mut report)
        })
        .collect()
}

/// Names and ids of all collections, nothing else in them yet.
fn names(
    declarations: &[CollectionDeclaration],
    reserved: &[&str],
    excused: &[String],
    mistakes: &mut Vec<Mistake>,
) -> Catalog {
    let mut catalog = Catalog::default();
    each(declarations, excused, mistakes, |declaration, report| {
        let name = declaration.name.as_str();
        let id = CollectionId(u16::try_from(catalog.collections.len()).unwrap_or(u16::MAX));
        report.inside("name", |report| {
            if !fields::is_identifier(name) {
                report.value(
                    "must be lower-case letters, digits and underscores, a letter first",
                    None,
                );
            } else if reserved.contains(&name) {
                report.value(
                    format!("`{name}` is reserved for a route of the server"),
                    None,
                );
            } else if catalog.by_name.contains_key(name) {
                report.value(format!("there is another collection called `{name}`"), None);
            }
        });
        catalog.by_name.entry(name.to_owned()).or_insert(id);
        catalog.collections.push(Arc::new(blank(id, declaration)));
    });
    catalog
}

fn blank(id: CollectionId, declaration: &CollectionDeclaration) -> Collection {
    Collection {
        id,
        name: declaration.name.clone(),
        singular: declaration
            .singular
            .clone()
            .unwrap_or_else(|| singular(&declaration.name)),
        description: declaration.description.clone(),
        domain: declaration.domain.clone().unwrap_or_else(|| "main".into()),
        fields: Vec::new(),
        by_name: HashMap::new(),
        sent: Vec::new(),
        owner: None,
        order: Vec::new(),
        indexes: Vec::new(),
        tiers: Tiers::default(),
        access: Access::default(),
        effects: Vec::new(),
        referenced_by: Vec::new(),
        channel: None,
        expires_after: None,
        append_only: declaration.append_only,
    }
}

/// `categories` → `category`, `posts` → `post`; a word without a plural stays as it is.
fn singular(name: &str) -> String {
    match name {
        _ if name.ends_with("ies") => format!("{}y", &name[..name.len() - 3]),
        _ if name.ends_with('s') && !name.ends_with("ss") => name[..name.len() - 1].to_owned(),
        _ => name.to_owned(),
    }
}

/// Everything that mentions fields and collections.
fn details(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    catalog: &mut Catalog,
    mistakes: &mut Vec<Mistake>,
) {
    let mut position = 0;
    let filled = each(declarations, excused, mistakes, |declaration, report| {
        let mut collection = (*catalog.collections[position]).clone();
        position += 1;
        fill(declaration, &mut collection, catalog, report);
        Arc::new(collection)
    });
    catalog.collections = filled;
    let mut reverse: Vec<(CollectionId, Reverse)> = Vec::new();
    for collection in &catalog.collections {
        for (field, found) in collection.declared_fields() {
            let (kind, list) = match &found.kind {
                FieldType::List(item) => (&**item, true),
                kind => (kind, false),
            };
            if let FieldType::Ref(target) = kind {
                reverse.push((
                    target.collection,
                    Reverse {
                        collection: collection.id,
                        field,
                        on_delete: target.on_delete,
                        list,
                    },
                ));
            }
        }
    }
    for (target, reverse) in reverse {
        if let Some(slot) = catalog.collections.get_mut(target.index()) {
            Arc::make_mut(slot).referenced_by.push(reverse);
        }
    }
    table_names(declarations, excused, catalog, mistakes);
}

fn fill(
    declaration: &CollectionDeclaration,
    collection: &mut Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) {
    if let Some(domain) = &declaration.domain
        && !fields::is_identifier(domain)
    {
        report.inside("domain", |report| {
            report.value(
                "must be lower-case letters, digits and underscores, a letter first",
                None,
            );
        });
    }
    collection.owner = declaration.owner.as_ref().and_then(|name| {
        report.inside("owner", |report| {
            let index = field_index(collection, name, report)?;
            match collection.fields[index].kind {
                FieldType::Ref(_) | FieldType::Uuid => Some(index),
                _ if report.is_broken(&collection.fields[index]) => None,
                _ => {
                    report.value(
                        format!("`{name}` holds no account id: it must be a ref or uuid"),
                        None,
                    );
                    None
                }
            }
        })
    });
    collection.order = order(declaration, collection, report);
    collection.indexes = indexes(declaration, collection, catalog, report);
    collection.tiers = tiers(declaration, collection, report);
    collection.access = access(declaration, collection, catalog, report);
    collection.effects = report.inside("effects", |report| {
        declaration
            .effects
            .iter()
            .enumerate()
            .filter_map(|(index, effect)| {
                report.inside(index, |report| {
                    self::effect(effect, collection, catalog, report)
                })
            })
            .collect()
    });
    collection.channel = channel(declaration, collection, report);
    collection.expires_after = declaration
        .expires_after
        .as_ref()
        .and_then(|text| report.inside("expires_after", |report| period(text, report)));
}

fn field_index(collection: &Collection, name: &str, report: &mut Report<'_>) -> Option<usize> {
    let found = collection.field_named(name).map(|(index, _)| index);
    if found.is_none() {
        let names = collection.fields.iter().map(|field| field.name.as_str());
        let suggestion = nearest(name, names).map(str::to_owned);
        report.value(
            format!("`{}` has no field `{name}`", collection.name),
            suggestion,
        );
    }
    found
}

/// A field with its direction: `-created_at`.
fn directed(collection: &Collection, text: &str, report: &mut Report<'_>) -> Option<SortKey> {
    let (descending, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    field_index(collection, name, report).map(|field| SortKey { field, descending })
}

fn order(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    report: &mut Report<'_>,
) -> Vec<SortKey> {
    let keys = match &declaration.order {
        None => vec![SortKey {
            field: collection.created_at(),
            descending: true,
        }],
        Some(names) => report.inside("order", |report| {
            names
                .as_slice()
                .iter()
                .filter_map(|text| {
                    let key = directed(collection, text, report)?;
                    let field = &collection.fields[key.field];
                    if !field.kind.is_ordered() && !report.is_broken(field) {
                        report.value(
                            format!(
                                "`{}` is a {}, which has no order",
                                field.name,
                                field.kind.word()
                            ),
                            None,
                        );
                        return None;
                    }
                    Some(key)
                })
                .collect()
        }),
    };
    Collection::total_order(keys)
}

fn indexes(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) -> Vec<Index> {
    report.inside("indexes", |report| {
        declaration
            .indexes
            .iter()
            .enumerate()
            .filter_map(|(position, index)| {
                report.inside(position, |report| {
                    self::index(index, collection, catalog, report)
                })
            })
            .collect()
    })
}

fn index(
    declaration: &IndexDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) -> Option<Index> {
    let short;
    let (options, key) = match declaration {
        IndexDeclaration::Fields(fields) => {
            short = IndexOptions {
                fields: fields.clone(),
                ..IndexOptions::default()
            };
            (&short, None)
        }
        IndexDeclaration::Options(options) => (options, Some("fields")),
    };
    let columns = |report: &mut Report<'_>| -> Vec<Option<IndexColumn>> {
        if options.fields.is_empty() {
            report.value("names no field", None);
        }
        options
            .fields
            .iter()
            .enumerate()
            .map(|(position, text)| {
                report.inside(position, |report| {
                    let SortKey { field, descending } = directed(collection, text, report)?;
                    let kind = &collection.fields[field].kind;
                    let gin = options.using == Some(IndexKind::Gin);
                    let needs_gin = matches!(
                        kind,
                        FieldType::Json | FieldType::List(_) | FieldType::Object(_)
                    );
                    if gin != needs_gin && !report.is_broken(&collection.fields[field]) {
                        let message = match gin {
                            true => "a gin index is for json and lists".to_owned(),
                            false => format!("a {} needs `using: gin`", kind.word()),
                        };
                        report.value(message, None);
                    }
                    Some(IndexColumn { field, descending })
                })
            })
            .collect()
    };
    let columns = match key {
        Some(key) => report.inside(key, columns),
        None => columns(report),
    };
    let condition = match &options.condition {
        None => Expr::always(),
        Some(json) => report.inside("where", |report| {
            filter(json, collection, catalog, Variables::None, report)
                .and_then(|expr| expr.bind(&NoVariables))
        })?,
    };
    Some(Index {
        columns: columns.into_iter().collect::<Option<_>>()?,
        unique: options.unique,
        condition,
        kind: options.using.unwrap_or_default(),
    })
}

fn tiers(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    report: &mut Report<'_>,
) -> Tiers {
    let declared = &declaration.tiers;
    report.inside("tiers", |report| {
        let cache_sets = declared.cache.as_ref().map(|cache| {
            report.inside("cache", |report| {
                report.inside("sets", |report| {
                    let names = cache.sets.iter().enumerate();
                    names
                        .filter_map(|(position, name)| {
                            report.inside(position, |report| field_index(collection, name, report))
                        })
                        .collect()
                })
            })
        });
        let recent = declared.recent.as_ref().map(|recent| {
            report.inside("recent", |report| {
                if let Some(key) = &recent.shard_key {
                    report.inside("shard_key", |report| field_index(collection, key, report));
                }
                let window = recent.window.as_deref().unwrap_or(WINDOW);
                let window = report.inside("window", |report| period(window, report));
                let name = recent.collection.clone();
                let name = name.unwrap_or_else(|| format!("{}_recent", collection.name));
                (name, window.unwrap_or_default())
            })
        });
        let (table, truth) = match &declared.truth {
            None => (collection.name.clone(), true),
            Some(TruthTierDeclaration::Word(_)) => (collection.name.clone(), false),
            Some(TruthTierDeclaration::Options(options)) => (
                options
                    .table
                    .clone()
                    .unwrap_or_else(|| collection.name.clone()),
                true,
            ),
        };
        report.inside("truth", |report| {
            if !truth && recent.is_none() {
                report.value("without truth a collection needs `recent`", None);
            }
            // The collection's own name is checked where it stands.
            if !fields::is_identifier(&table) && table != collection.name {
                report.inside("table", |report| {
                    report.value(
                        "must be lower-case letters, digits and underscores, a letter first",
                        None,
                    );
                });
            }
        });
        Tiers {
            cache_sets,
            recent,
            table,
            truth,
        }
    })
}

fn table_names(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    catalog: &Catalog,
    mistakes: &mut Vec<Mistake>,
) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let mut position = 0;
    each(declarations, excused, mistakes, |_, report| {
        let collection = &catalog.collections[position];
        position += 1;
        let table = collection.tiers.table.as_str();
        match seen
            .iter()
            .find(|(seen, owner)| *seen == table && *owner != collection.name)
        {
            Some((_, owner)) => report.inside("tiers", |report| {
                report.value(
                    format!("the table `{table}` belongs to `{owner}` already"),
                    None,
                );
            }),
            None => seen.push((table, &collection.name)),
        }
    });
}

fn access(
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

fn filter(
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

fn effect(
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

fn channel(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    report: &mut Report<'_>,
) -> Option<String> {
    let template = declaration.realtime.as_ref()?.channel.as_ref()?;
    report.inside("realtime", |report| {
        report.inside("channel", |report| {
            for part in template.split('{').skip(1) {
                match part.split_once('}') {
                    Some((name, _)) => {
                        field_index(collection, name, report);
                    }
                    None => report.value("a `{` has no `}`", None),
                }
            }
        });
    });
    Some(template.clone())
}

/// A period such as `30d`, `12h`, `15m` or `10s`, in milliseconds.
fn period(text: &str, report: &mut Report<'_>) -> Option<i64> {
    let found = parse_period(text);
    if found.is_none() {
        report.value(
            format!("`{text}` is no period such as 30d, 12h, 15m or 10s"),
            None,
        );
    }
    found
}

/// Reads a period: a whole number and one of `ms s m h d w`. In milliseconds.
pub fn parse_period(text: &str) -> Option<i64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let size = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    number
        .parse::<i64>()
        .ok()?
        .checked_mul(size)
        .filter(|period| *period > 0)
}
