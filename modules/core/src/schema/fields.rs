//! From field declarations to fields.

use indexmap::IndexMap;
use regex::Regex;
use serde_json::Value as Json;

use super::{Catalog, CollectionId, compile::Report};
use crate::{
    declare::{
        EnumDeclaration, FieldDeclaration, FieldOptions, Normalize, NormalizeDeclaration, OnDelete,
    },
    field::{Bound, Choice, DefaultValue, Field, FieldType, Limits, Reference, Source},
    mistake::nearest,
    value::Value,
    violation::{Pointer, Violation},
};

/// Names that every collection has already.
pub(super) const SYSTEM_FIELDS: [&str; 4] = ["id", "created_at", "updated_at", "_rev"];

/// Makes all fields of a collection, system fields included. `known` tells the ids of collections.
pub(super) fn compile(
    declared: &IndexMap<String, FieldDeclaration>,
    known: &Catalog,
    report: &mut Report<'_>,
) -> Vec<Field> {
    let mut id = Field::plain("id", FieldType::Uuid);
    id.required = true;
    let mut fields = vec![Field {
        system: true,
        description: Some("UUID; version 7 unless the client gives one.".into()),
        ..id
    }];
    fields.extend(declared.iter().map(|(name, declaration)| {
        report.inside("fields", |report| {
            report.inside(name, |report| {
                field(name, declaration, known, report, false)
            })
        })
    }));
    for (name, kind, description) in [
        (
            "created_at",
            FieldType::Timestamp,
            "When the document was created.",
        ),
        (
            "updated_at",
            FieldType::Timestamp,
            "When it was last changed.",
        ),
        (
            "_rev",
            FieldType::BigInt,
            "Revision: grows with every change of this document.",
        ),
    ] {
        fields.push(Field {
            required: true,
            system: true,
            description: Some(description.into()),
            ..Field::plain(name, kind)
        });
    }
    fields
}

fn field(
    name: &str,
    declaration: &FieldDeclaration,
    known: &Catalog,
    report: &mut Report<'_>,
    inside_object: bool,
) -> Field {
    check_name(name, report, inside_object);
    let short;
    let (options, type_key) = match declaration {
        FieldDeclaration::Short(text) => {
            short = short_form(text);
            (&short, None)
        }
        FieldDeclaration::Long(options) => (&**options, Some("type")),
    };
    let kind = kind(options, type_key, known, report, inside_object);
    let mut field = Field::plain(name, kind);
    field.required = options.required;
    field.unique = options.unique;
    field.immutable = options.immutable;
    field.hidden = options.hidden;
    field.write_only = options.write_only;
    field.searchable = options.searchable;
    field.sensitive = options.sensitive;
    field.description.clone_from(&options.description);
    field.renamed_from.clone_from(&options.renamed_from);
    field.normalize = match &options.normalize {
        None => Vec::new(),
        Some(NormalizeDeclaration::One(step)) => vec![*step],
        Some(NormalizeDeclaration::Many(steps)) => steps.clone(),
    };
    field.limits = limits(&field, options, report);
    field.default = default(&field, options, report);
    check_options(&mut field, options, report, inside_object);
    field
}

fn check_name(name: &str, report: &mut Report<'_>, inside_object: bool) {
    if !is_identifier(name) {
        report.key("must be lower-case letters, digits and underscores, a letter first");
    } else if !inside_object && SYSTEM_FIELDS.contains(&name) {
        report.key(format!(
            "`{name}` is reserved: every collection has it by itself"
        ));
    }
}

/// Whether a name is fit for routes, SQL and MongoDB alike.
pub(super) fn is_identifier(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// `ref(users)!` as its long form.
fn short_form(text: &str) -> FieldOptions {
    let (kind, required) = match text.strip_suffix('!') {
        Some(kind) => (kind, true),
        None => (text, false),
    };
    FieldOptions {
        kind: kind.to_owned(),
        required,
        ..FieldOptions::default()
    }
}

fn kind(
    options: &FieldOptions,
    type_key: Option<&str>,
    known: &Catalog,
    report: &mut Report<'_>,
    inside_object: bool,
) -> FieldType {
    let (word, list) = match options.kind.strip_suffix("[]") {
        Some(word) => (word, true),
        None => (options.kind.as_str(), false),
    };
    // `ref(users)` and `media[]` name the target in the type itself.
    let (word, inline_target) = match word.strip_suffix(')').and_then(|w| w.split_once('(')) {
        Some((word, target)) => (word, Some(target)),
        None => (word, None),
    };
    let at_type = |report: &mut Report<'_>, message: String, suggestion: Option<&str>| {
        let suggestion = suggestion.map(str::to_owned);
        match type_key {
            Some(key) => report.inside(key, |report| report.value(message, suggestion)),
            None => report.value(message, suggestion),
        }
    };
    let item = match word {
        "text" => FieldType::Text,
        "int" => FieldType::Int,
        "bigint" => FieldType::BigInt,
        "float" => FieldType::Float,
        "decimal" => FieldType::Decimal,
        "bool" => FieldType::Bool,
        "uuid" => FieldType::Uuid,
        "timestamp" => FieldType::Timestamp,
        "date" => FieldType::Date,
        "duration" => FieldType::Duration,
        "json" => FieldType::Json,
        "ip" => FieldType::Ip,
        "email" => FieldType::Email,
        "url" => FieldType::Url,
        "bytes" => FieldType::Bytes,
        "password" if list || inside_object => {
            at_type(
                report,
                "a password stands by itself in a collection".into(),
                None,
            );
            FieldType::Text
        }
        "password" => FieldType::Password,
        "object" if list => {
            at_type(report, "there is no list of objects; use json".into(), None);
            FieldType::Json
        }
        "object" => match &options.fields {
            Some(fields) if !fields.is_empty() => {
                FieldType::Object(report.inside("fields", |report| {
                    fields
                        .iter()
                        .map(|(name, inner)| {
                            report.inside(name, |report| field(name, inner, known, report, true))
                        })
                        .collect()
                }))
            }
            _ => {
                at_type(
                    report,
                    "an object needs `fields`; for anything at all use json".into(),
                    None,
                );
                FieldType::Json
            }
        },
        "ref" => {
            let target = options.to.as_deref().or(inline_target);
            let collection = reference(target, options, known, report);
            FieldType::Ref(Reference {
                collection: collection.unwrap_or(CollectionId(0)),
                on_delete: options.on_delete.unwrap_or_default(),
            })
        }
        word => {
            let words = FieldType::WORDS.into_iter().filter(|word| *word != "T[]");
            at_type(
                report,
                format!("unknown type `{word}`"),
                nearest(word, words),
            );
            FieldType::Json
        }
    };
    if word != "ref" && (options.to.is_some() || inline_target.is_some()) {
        at_type(
            report,
            format!("only a ref points to a collection, not {word}"),
            None,
        );
    }
    if word != "object" && options.fields.is_some() {
        report.inside("fields", |report| {
            report.key("only an object has fields inside")
        });
    }
    match list {
        true => FieldType::List(Box::new(item)),
        false => item,
    }
}

fn reference(
    target: Option<&str>,
    options: &FieldOptions,
    known: &Catalog,
    report: &mut Report<'_>,
) -> Option<CollectionId> {
    let Some(target) = target else {
        report.value("a ref needs `to`, the collection it points to", None);
        return None;
    };
    if let Some(collection) = known.named(target) {
        return Some(collection.id);
    }
    if !report.is_excused(target) {
        let suggestion = nearest(target, known.names()).map(str::to_owned);
        let message = format!("refers to the collection `{target}`, which does not exist");
        match options.to {
            Some(_) => report.inside("to", |report| report.value(message, suggestion)),
            None => report.value(message, suggestion),
        }
    }
    None
}

fn item_kind(kind: &FieldType) -> &FieldType {
    match kind {
        FieldType::List(item) => item,
        kind => kind,
    }
}

fn limits(field: &Field, options: &FieldOptions, report: &mut Report<'_>) -> Limits {
    let kind = item_kind(&field.kind);
    let mut limits = Limits {
        min: bound(kind, "min", options.min.as_ref(), report),
        max: bound(kind, "max", options.max.as_ref(), report),
        min_length: options.min_length,
        max_length: options.max_length,
        ..Limits::default()
    };
    if let (Some(Bound::Fixed(min)), Some(Bound::Fixed(max))) = (&limits.min, &limits.max)
        && min.compare(max).is_some_and(|order| order.is_gt())
    {
        let message = format!("`min` {min:?} is greater than `max` {max:?}");
        report.inside("min", |report| report.value(message, None));
    }
    if let (Some(min), Some(max)) = (limits.min_length, limits.max_length)
        && min > max
    {
        report.inside("min_length", |report| {
            report.value(
                format!("`min_length` {min} is greater than `max_length` {max}"),
                None,
            );
        });
    }
    let has_length = matches!(
        field.kind,
        FieldType::List(_) | FieldType::Bytes | FieldType::Password
    ) || field.kind.is_textual();
    for (key, length) in [
        ("min_length", options.min_length),
        ("max_length", options.max_length),
    ] {
        if length.is_some() && !has_length {
            let message = format!("a {} has no length", field.kind.word());
            report.inside(key, |report| report.key(message));
        }
    }
    if let Some(pattern) = &options.pattern {
        report.inside("pattern", |report| {
            if !kind.is_textual() {
                report.key(format!("a {} has no pattern", field.kind.word()));
            }
            match Regex::new(pattern) {
                Ok(pattern) => limits.pattern = Some(pattern),
                Err(_) => report.value("is no regular expression", None),
            }
        });
    }
    if let Some(choices) = &options.choices {
        report.inside("enum", |report| {
            limits.choices = self::choices(kind, choices, report);
        });
    }
    limits
}

fn bound(
    kind: &FieldType,
    key: &str,
    json: Option<&Json>,
    report: &mut Report<'_>,
) -> Option<Bound> {
    let json = json?;
    report.inside(key, |report| {
        if !kind.is_ordered()
            || kind.is_textual()
            || matches!(kind, FieldType::Uuid | FieldType::Ref(_) | FieldType::Bool)
        {
            report.key(format!("a {} has no `{key}`", kind.word()));
            return None;
        }
        if let (FieldType::Date, Some(years)) =
            (kind, json.as_str().and_then(|t| t.strip_suffix('y')))
        {
            match years.parse() {
                Ok(years) => return Some(Bound::YearsFromToday(years)),
                Err(_) => report.value("must be a date, or years from today such as `-18y`", None),
            }
            return None;
        }
        read(kind, json, report).map(Bound::Fixed)
    })
}

fn choices(kind: &FieldType, choices: &EnumDeclaration, report: &mut Report<'_>) -> Vec<Choice> {
    let pairs: Vec<(Option<&str>, String, &Json)> = match choices {
        EnumDeclaration::Values(values) => values
            .iter()
            .enumerate()
            .map(|(index, json)| (None, index.to_string(), json))
            .collect(),
        EnumDeclaration::Names(names) => names
            .iter()
            .map(|(name, json)| (Some(name.as_str()), name.clone(), json))
            .collect(),
    };
    if pairs.is_empty() {
        report.value("lists no value", None);
    }
    let mut found: Vec<Choice> = Vec::new();
    for (name, key, json) in pairs {
        report.inside(&key, |report| {
            let Some(value) = read(kind, json, report) else {
                return;
            };
            if found.iter().any(|choice| choice.value.same(&value)) {
                report.value(format!("the value {value:?} is there twice"), None);
            }
            found.push(Choice {
                name: name.map(str::to_owned),
                value,
            });
        });
    }
    found
}

fn default(field: &Field, options: &FieldOptions, report: &mut Report<'_>) -> Option<DefaultValue> {
    let json = options.default.as_ref().filter(|json| !json.is_null())?;
    report.inside("default", |report| {
        let identity = matches!(field.kind, FieldType::Uuid | FieldType::Ref(_));
        let moment = matches!(field.kind, FieldType::Timestamp | FieldType::Date);
        match json.as_str() {
            Some("$now") if moment => return Some(DefaultValue::Now),
            Some("$uuid") if identity => return Some(DefaultValue::Uuid),
            Some("$auth.id") if identity => return Some(DefaultValue::AuthId),
            Some(word @ ("$now" | "$uuid" | "$auth.id")) => {
                report.value(
                    format!("`{word}` is no value of a {}", field.kind.word()),
                    None,
                );
                return None;
            }
            _ => {}
        }
        if field.kind == FieldType::Password {
            report.key("a password has no default");
            return None;
        }
        let mut at = Pointer::root();
        let mut violations = Vec::new();
        let value = field.read(json, Source::Json, &mut at, &mut violations);
        report.violations(&violations, |violation| {
            format!("is no value of the field: it {}", violation.message)
        });
        value.map(DefaultValue::Literal)
    })
}

fn read(kind: &FieldType, json: &Json, report: &mut Report<'_>) -> Option<Value> {
    let mut violations: Vec<Violation> = Vec::new();
    let value = kind.read(json, Source::Json, &mut Pointer::root(), &mut violations);
    report.violations(&violations, |violation| violation.message.clone());
    value
}

fn check_options(
    field: &mut Field,
    options: &FieldOptions,
    report: &mut Report<'_>,
    inside_object: bool,
) {
    let is_ref = matches!(item_kind(&field.kind), FieldType::Ref(_));
    if let Some(on_delete) = options.on_delete {
        report.inside("on_delete", |report| {
            if !is_ref {
                report.key("only a ref has `on_delete`");
            } else if on_delete == OnDelete::SetNull
                && field.required
                && !matches!(field.kind, FieldType::List(_))
            {
                report.value("a required field cannot become null", None);
            } else if on_delete == OnDelete::Cascade && matches!(field.kind, FieldType::List(_)) {
                report.value(
                    "a list of references cannot cascade; use set_null, which removes the item",
                    None,
                );
            }
        });
    }
    if let Some(word) = &options.on_update {
        report.inside("on_update", |report| {
            if word == "$now" && matches!(field.kind, FieldType::Timestamp | FieldType::Date) {
                field.stamped = true;
            } else {
                report.value("must be `$now`, on a timestamp or date", None);
            }
        });
    }
    if field.normalize.iter().any(|step| {
        *step == Normalize::Lower || *step == Normalize::Trim || *step == Normalize::Nfkc
    }) && !item_kind(&field.kind).is_textual()
    {
        report.inside("normalize", |report| report.key("only text is normalised"));
    }
    if field.unique
        && !field.kind.is_ordered()
        && !matches!(field.kind, FieldType::Ip | FieldType::Bytes)
    {
        let message = format!("a {} cannot be unique", field.kind.word());
        report.inside("unique", |report| report.key(message));
    }
    if field.searchable && !item_kind(&field.kind).is_textual() {
        report.inside("searchable", |report| report.key("only text is searchable"));
    }
    if inside_object {
        for (key, set) in [
            ("unique", field.unique),
            ("hidden", field.hidden),
            ("write_only", field.write_only),
            ("immutable", field.immutable),
            ("searchable", field.searchable),
            ("readable_by", options.readable_by.is_some()),
            ("writable_by", options.writable_by.is_some()),
            ("renamed_from", options.renamed_from.is_some()),
            ("to", is_ref),
        ] {
            if set {
                report.inside(key, |report| {
                    report.key(format!("`{key}` has no meaning inside an object"))
                });
            }
        }
    }
}
