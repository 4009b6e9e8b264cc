//! The channels that are subscribed to: of collections, of documents, of templates, of an account.

use nubo_core::{
    field::FieldType,
    schema::{ACCOUNT_CHANNELS, Catalog, ChannelTemplate, Collection},
};
use serde_json::{Map, Value as Json, json};

use super::{
    collections::events,
    control::{ON_EVERY_CHANNEL, TOLD},
    draft::Draft,
};

pub(super) fn describe(draft: &mut Draft, catalog: &Catalog) {
    let stored = catalog.collections().iter();
    for collection in stored.filter(|collection| collection.realtime.announced) {
        let name = &collection.name;
        let messages = heard(&[collection]);
        draft.heard(
            &format!("collection.{name}"),
            json!({ "address": name, "title": format!("All of {name}") }),
            &format!("Hear every change of a document of {name}"),
            &messages,
        );
        let id =
            json!({ "description": format!("Of a {} that may be read.", collection.singular) });
        draft.heard(
            &format!("document.{name}"),
            json!({
                "address": format!("{name}/{{id}}"),
                "title": format!("One of {name}"),
                "parameters": { "id": id },
            }),
            &format!("Hear every change of one document of {name}"),
            &messages,
        );
    }
    for collection in catalog.flux() {
        if collection.realtime.channel.is_none() {
            let name = &collection.name;
            draft.heard(
                &format!("collection.{name}"),
                json!({ "address": name, "title": format!("All of {name}") }),
                &format!("Hear every message of {name}"),
                &heard(&[collection]),
            );
        }
    }
    let named = Named::of_all(catalog);
    account(draft, &named);
    for named in named.iter().filter(|named| !named.is_of_account()) {
        named.describe(draft, catalog);
    }
}

/// The names of all messages on a channel that carries these collections.
fn heard(collections: &[&Collection]) -> Vec<String> {
    let of_collections = collections.iter().flat_map(|collection| events(collection));
    of_collections
        .chain(ON_EVERY_CHANNEL.map(str::to_owned))
        .collect()
}

/// The channels that several collections may speak on, because their templates make the same names.
struct Named<'a> {
    template: &'a ChannelTemplate,
    collections: Vec<&'a Collection>,
}

impl<'a> Named<'a> {
    fn of_all(catalog: &'a Catalog) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let collections = catalog.collections().iter().chain(catalog.flux());
        for collection in collections.filter(|collection| collection.realtime.announced) {
            let Some(template) = &collection.realtime.channel else {
                continue;
            };
            let same = |named: &&mut Self| named.template.texts() == template.texts();
            match all.iter_mut().find(same) {
                Some(named) => named.collections.push(collection),
                None => all.push(Self {
                    template,
                    collections: vec![collection],
                }),
            }
        }
        all
    }

    fn is_of_account(&self) -> bool {
        self.template.texts() == [Some(ACCOUNT_CHANNELS), None]
    }

    fn describe(&self, draft: &mut Draft, catalog: &Catalog) {
        // Whichever template says most: `{conversation_id}` rather than `{id}`.
        let template = |collection: &&&'a Collection| {
            let template = collection.realtime.channel.as_ref();
            template.map_or(0, |template| template.text.len())
        };
        let Some(spoken_for) = self.collections.iter().max_by_key(template) else {
            return;
        };
        let Some(template) = &spoken_for.realtime.channel else {
            return;
        };
        let names: Vec<&str> = self.collections.iter().map(|c| c.name.as_str()).collect();
        draft.heard(
            &free_name(draft, &template.text),
            json!({
                "address": template.text,
                "title": format!("What {} say of one thing", list(&names)),
                "parameters": parameters(template, spoken_for, catalog),
            }),
            &format!("Hear what {} say of one thing", list(&names)),
            &heard(&self.collections),
        );
    }
}

/// A name for a channel of a template, made of its words.
fn free_name(draft: &Draft, template: &str) -> String {
    let words = template.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let name = format!("named.{}", words.join("."));
    let numbered = (2..).map(|number: u32| format!("{name}.{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    // The numbers have no end.
    names.find(|name| !draft.has_channel(name)).unwrap_or(name)
}

fn parameters(template: &ChannelTemplate, collection: &Collection, catalog: &Catalog) -> Json {
    let parameters = template.fields().map(|index| {
        let field = &collection.fields()[index];
        let description = match &field.kind {
            FieldType::Ref(target) => format!(
                "The id of one of {} that may be read.",
                catalog.get(target.collection).name
            ),
            _ if index == Collection::ID => {
                format!("The id of a {} that may be read.", collection.singular)
            }
            _ => format!("The `{}` of {}.", field.name, collection.name),
        };
        (field.name.clone(), json!({ "description": description }))
    });
    parameters.collect::<Map<String, Json>>().into()
}

/// The channel of an account, and what collections say there.
fn account(draft: &mut Draft, named: &[Named<'_>]) {
    let of_account = named.iter().find(|named| named.is_of_account());
    let collections = of_account.map_or(&[][..], |named| &named.collections);
    let mut messages = vec![TOLD.to_owned()];
    messages.extend(heard(collections));
    draft.heard(
        "account",
        json!({
            "address": format!("{ACCOUNT_CHANNELS}{{account}}"),
            "title": "What concerns an account",
            "description": "For the account itself alone.",
            "parameters": { "account": {
                "description": "The account's own id; `me` stands for it in `subscribe`.",
            } },
        }),
        "Hear what concerns one's own account, and what its other connections say",
        &messages,
    );
}

/// `a, b and c`
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
