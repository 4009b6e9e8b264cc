//! Channels, and collections without storage.

use crate::{
    declare::{CollectionDeclaration, Kind},
    schema::{
        ChannelTemplate, Collection, Realtime,
        realtime::{Part, can_be_named},
    },
};

use super::{Report, fields, index::field_index, period};

pub(super) fn realtime(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    report: &mut Report<'_>,
) -> Realtime {
    let mut realtime = Realtime::default();
    let Some(declared) = &declaration.realtime else {
        return realtime;
    };
    report.inside("realtime", |report| {
        realtime.announced = declared.announce;
        if let Some(text) = &declared.channel {
            realtime.channel =
                report.inside("channel", |report| template(text, collection, report));
        }
        if let Some(text) = &declared.lifetime {
            report.inside("lifetime", |report| match collection.is_flux {
                true => realtime.lifetime = period(text, report).unwrap_or(realtime.lifetime),
                false => report.value("only a collection with `kind: flux` has it", None),
            });
        }
    });
    realtime
}

/// `conversation:{conversation_id}`: a word and a colon, so that it is no collection's name, and
/// then values, each with something between it and the next.
fn template(
    text: &str,
    collection: &Collection,
    report: &mut Report<'_>,
) -> Option<ChannelTemplate> {
    let word = text.split_once(':').map(|(word, _)| word);
    if !word.is_some_and(fields::is_identifier) {
        let message = "must begin with a word and a colon, such as `room:{room_id}`";
        report.value(message, None);
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if before.is_empty() {
            report.value("there must be something between two values", None);
            return None;
        }
        let Some((name, after)) = after.split_once('}') else {
            report.value("a `{` has no `}`", None);
            return None;
        };
        parts.push(Part::Text(before.to_owned()));
        let field = field_index(collection, name, report)?;
        let found = &collection.fields[field];
        if !can_be_named(&found.kind) && !report.is_broken(found) {
            let kind = found.kind.word();
            report.value(
                format!("`{name}` is a {kind}; a channel is named after text, numbers and ids"),
                None,
            );
            return None;
        }
        parts.push(Part::Field(field));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Some(ChannelTemplate {
        text: text.to_owned(),
        parts,
    })
}

/// Says what makes no sense where nothing is stored.
pub(super) fn check_flux(declaration: &CollectionDeclaration, report: &mut Report<'_>) {
    if declaration.kind != Kind::Flux {
        return;
    }
    let said = [
        ("indexes", !declaration.indexes.is_empty()),
        ("order", declaration.order.is_some()),
        ("effects", !declaration.effects.is_empty()),
        ("expires_after", declaration.expires_after.is_some()),
        ("append_only", declaration.append_only),
        ("virtual_fields", !declaration.virtual_fields.is_empty()),
    ];
    for (key, _) in said.into_iter().filter(|(_, said)| *said) {
        report.inside(key, |report| {
            report.value(
                "a collection with `kind: flux` stores nothing, so it has none",
                None,
            );
        });
    }
    let access = &declaration.access;
    let rules = [
        ("update", access.update.is_some()),
        ("delete", access.delete.is_some()),
    ];
    report.inside("access", |report| {
        for (key, _) in rules.into_iter().filter(|(_, said)| *said) {
            report.inside(key, |report| {
                report.value(
                    "messages are published (`create`) and heard (`read`), no more",
                    None,
                );
            });
        }
    });
}
