//! `nubo collections`: the collections as the server understands them, for people.

use std::io::{self, Write};

use clap::Subcommand;
use nubo_core::{
    declare::{
        CollectionDeclaration, FieldDeclaration, FieldOptions, IndexDeclaration, RuleDeclaration,
    },
    nearest,
};
use serde::Serialize;
use serde_json::Value as Json;

use super::layout::{entry, flow, indented, item, section, table};
use crate::config::Loaded;

/// Shows the collections.
#[derive(Debug, Subcommand)]
pub enum Collections {
    /// One line for each collection.
    List,
    /// Everything about one collection.
    Show {
        /// Name of the collection.
        name: String,
    },
}

impl Collections {
    /// Writes what was asked for to `out`.
    ///
    /// # Errors
    /// When there is no collection of the name that was asked for, or `out` cannot be written.
    pub fn run(&self, loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::List => list(&loaded.declarations, out),
            Self::Show { name } => {
                let mut declarations = loaded.declarations.iter();
                match declarations.find(|declaration| declaration.name == *name) {
                    Some(declaration) => show(declaration, out),
                    None => Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        unknown(name, loaded),
                    )),
                }
            }
        }
    }
}

fn unknown(name: &str, loaded: &Loaded) -> String {
    let known = loaded
        .declarations
        .iter()
        .map(|declaration| declaration.name.as_str());
    let suggestion = nearest(name, known).map(|word| format!(" (did you mean `{word}`?)"));
    format!(
        "there is no collection `{name}`{}",
        suggestion.unwrap_or_default()
    )
}

fn list(declarations: &[CollectionDeclaration], out: &mut impl Write) -> io::Result<()> {
    let rows = declarations.iter().map(|declaration| {
        vec![
            declaration.name.clone(),
            declaration.domain.clone().unwrap_or_default(),
            declaration.fields.len().to_string(),
            readers(declaration.access.read.as_ref()),
            first_sentence(declaration.description.as_deref().unwrap_or_default()),
        ]
    });
    table(
        &["COLLECTION", "DOMAIN", "FIELDS", "READ BY", "DESCRIPTION"],
        rows,
        out,
    )
}

fn show(declaration: &CollectionDeclaration, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", declaration.name)?;
    if let Some(description) = &declaration.description {
        writeln!(out, "{}", description.trim())?;
    }
    let order = declaration
        .order
        .as_ref()
        .map(|order| order.as_slice().join(", "));
    let facts = [
        ("domain", declaration.domain.clone()),
        ("owner", declaration.owner.clone()),
        ("order", order),
        ("expires after", declaration.expires_after.clone()),
        (
            "append only",
            declaration.append_only.then(|| "yes".to_owned()),
        ),
    ];
    writeln!(out)?;
    let known = facts
        .into_iter()
        .filter_map(|(fact, value)| Some(vec![fact.to_owned(), value?]));
    table(&[], known, out)?;

    writeln!(out)?;
    let mut fields = vec![vec![
        "id".to_owned(),
        "uuid!".to_owned(),
        "by itself".to_owned(),
    ]];
    add_fields("", &declaration.fields, &mut fields);
    for (name, kind) in [
        ("created_at", "timestamp!"),
        ("updated_at", "timestamp!"),
        ("_rev", "bigint!"),
    ] {
        fields.push(vec![
            name.to_owned(),
            kind.to_owned(),
            "by itself".to_owned(),
        ]);
    }
    table(&["FIELD", "TYPE", "OPTIONS"], fields, out)?;

    section("INDEXES", declaration.indexes.iter().map(index), out)?;
    let access = &declaration.access;
    let actions = [
        ("read", &access.read),
        ("create", &access.create),
        ("update", &access.update),
        ("delete", &access.delete),
    ];
    let rules = actions.map(|(action, who)| rule(action, who.as_ref()));
    section("ALLOWED FOR", rules.into_iter(), out)?;
    section(
        "EFFECTS",
        declaration.effects.iter().map(|effect| item(&json(effect))),
        out,
    )?;
    let tiers = json(&declaration.tiers);
    let tiers = tiers.as_object().into_iter().flatten();
    section(
        "TIERS",
        tiers.map(|(tier, how)| format!("{tier}: {}", flow(how))),
        out,
    )
}

/// The fields as rows; those inside an object follow it under dotted names.
fn add_fields<'a>(
    prefix: &str,
    fields: impl IntoIterator<Item = (&'a String, &'a FieldDeclaration)>,
    rows: &mut Vec<Vec<String>>,
) {
    for (name, field) in fields {
        let name = format!("{prefix}{name}");
        match field {
            FieldDeclaration::Short(kind) => rows.push(vec![name, kind.clone(), String::new()]),
            FieldDeclaration::Long(options) => {
                rows.push(vec![name.clone(), kind(options), other_options(options)]);
                add_fields(&format!("{name}."), options.fields.iter().flatten(), rows);
            }
        }
    }
}

/// The type in its short form.
fn kind(options: &FieldOptions) -> String {
    let mut kind = options.kind.clone();
    if let Some(to) = options.to.as_ref().filter(|_| !kind.contains('(')) {
        kind = kind.replacen("ref", &format!("ref({to})"), 1);
    }
    if options.required && !kind.ends_with('!') {
        kind.push('!');
    }
    kind
}

/// The options that the short form does not say.
fn other_options(options: &FieldOptions) -> String {
    let options = json(options);
    let said = ["type", "to", "required", "fields", "description"];
    let others = options.as_object().into_iter().flatten();
    let others = others.filter(|(option, _)| !said.contains(&option.as_str()));
    let words = others.map(|(option, value)| match value {
        Json::Bool(true) => option.clone(),
        value => format!("{option}: {}", flow(value)),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn index(index: &IndexDeclaration) -> String {
    match index {
        IndexDeclaration::Fields(fields) => fields.join(", "),
        IndexDeclaration::Options(options) => {
            let mut text = options.fields.join(", ");
            if options.unique {
                text.push_str(", unique");
            }
            if let Some(condition) = &options.condition {
                text.push_str(&format!(", where {}", flow(condition)));
            }
            if let Some(using) = &options.using {
                text.push_str(&format!(", using {}", flow(&json(using))));
            }
            text
        }
    }
}

/// The rule of an action; a list of rules, of which any one is enough, with a line for each.
fn rule(action: &str, rule: Option<&RuleDeclaration>) -> String {
    match rule {
        None => format!("{action}: admins"),
        Some(RuleDeclaration::Any(rules)) => {
            let rules = rules.iter().map(|one| indented(&item(&json(one)), "  "));
            format!("{action}:\n{}", rules.collect::<Vec<_>>().join("\n"))
        }
        Some(one) => entry(action, &json(one)),
    }
}

/// Who may read, in a few words: a filter is only mentioned.
fn readers(rule: Option<&RuleDeclaration>) -> String {
    match rule {
        None => "admins".to_owned(),
        Some(RuleDeclaration::Word(word)) => word.clone(),
        Some(RuleDeclaration::Filter(_)) => "a filter".to_owned(),
        Some(RuleDeclaration::Any(rules)) => {
            let mut words: Vec<_> = rules.iter().map(|one| readers(Some(one))).collect();
            words.dedup();
            words.join(", ")
        }
    }
}

fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

fn first_sentence(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.split_once(". ")
        .map_or(line, |(sentence, _)| sentence)
        .trim_end_matches('.')
        .to_owned()
}
