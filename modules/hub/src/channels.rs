//! What the name of a channel means.

use nubo_core::{
    Error, Result,
    access::Action,
    bus::Channel,
    caller::Caller,
    id::Id,
    nearest,
    schema::{ACCOUNT_CHANNELS, Catalog, Collection, CollectionId},
    store::Store,
    with_hint,
};

/// What stands for one's own account in the name of its channel.
const MYSELF: &str = "me";

/// A channel that somebody wants to listen to.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub channel: Channel,
    /// The collections that are heard there.
    pub carries: Vec<CollectionId>,
    /// Documents that one must be able to read to enter it.
    pub named_after: Vec<(CollectionId, Id)>,
}

/// Finds out what a name means to a caller. 404 where it means nothing, 401 where it needs an
/// account.
pub(crate) fn resolve(name: &str, caller: &Caller, catalog: &Catalog) -> Result<Resolved> {
    if let Some(account) = name.strip_prefix(ACCOUNT_CHANNELS) {
        return of_account(account, caller, catalog);
    }
    if let Some(collection) = catalog.any_named(name) {
        return of_collection(collection, caller);
    }
    if let Some((name, id)) = name.split_once('/') {
        let collection = catalog.named(name).filter(|found| found.realtime.announced);
        let collection = collection.ok_or_else(|| unknown(name, catalog))?;
        let id = Collection::read_id(id)?;
        return Ok(Resolved {
            channel: collection.document_channel(id),
            carries: vec![collection.id],
            named_after: vec![(collection.id, id)],
        });
    }
    let resolved = of_templates(name, catalog);
    match resolved.carries.is_empty() {
        true => Err(unknown(name, catalog)),
        false => Ok(resolved),
    }
}

/// Everything of a collection, or every message of one that is not stored and names no channel.
fn of_collection(collection: &Collection, caller: &Caller) -> Result<Resolved> {
    let is_heard = match collection.is_flux {
        true => collection.realtime.channel.is_none(),
        false => collection.realtime.announced,
    };
    if !is_heard {
        return Err(Error::NotFound {
            code: "unknown_channel",
            detail: format!(
                "`{}` says nothing on a channel of that name",
                collection.name
            ),
        });
    }
    collection.admit(Action::Read, caller)?;
    Ok(Resolved {
        channel: collection.channel(),
        carries: vec![collection.id],
        named_after: Vec::new(),
    })
}

/// The channel of an account, which is for itself alone.
fn of_account(account: &str, caller: &Caller, catalog: &Catalog) -> Result<Resolved> {
    let own = caller.account_id().ok_or_else(Error::missing_token)?;
    if account != MYSELF && account != own.to_string() {
        return Err(no_entry());
    }
    let name = format!("{ACCOUNT_CHANNELS}{own}");
    let resolved = of_templates(&name, catalog);
    Ok(Resolved {
        named_after: Vec::new(),
        ..resolved
    })
}

fn of_templates(name: &str, catalog: &Catalog) -> Resolved {
    let mut resolved = Resolved {
        channel: Channel::new(name),
        carries: Vec::new(),
        named_after: Vec::new(),
    };
    let announced = catalog.collections().iter().chain(catalog.flux());
    for collection in announced.filter(|collection| collection.realtime.announced) {
        let Some(template) = &collection.realtime.channel else {
            continue;
        };
        if template.condition(name, collection).is_some() {
            resolved.carries.push(collection.id);
            for document in template.named_after(name, collection) {
                if !resolved.named_after.contains(&document) {
                    resolved.named_after.push(document);
                }
            }
        }
    }
    resolved
}

/// Refuses who may not read what a channel is named after.
pub(crate) async fn check_entry(
    resolved: &Resolved,
    caller: &Caller,
    store: &dyn Store,
) -> Result<()> {
    for (collection, id) in &resolved.named_after {
        if store.get(caller, *collection, *id).await?.is_none() {
            return Err(no_entry());
        }
    }
    Ok(())
}

fn no_entry() -> Error {
    Error::NotFound {
        code: "unknown_channel",
        detail: "there is no such channel".into(),
    }
}

fn unknown(name: &str, catalog: &Catalog) -> Error {
    let templates = catalog.collections().iter().chain(catalog.flux());
    let templates = templates.filter_map(|collection| collection.realtime.channel.as_ref());
    let known = catalog
        .names()
        .chain(templates.map(|template| template.text.as_str()));
    Error::NotFound {
        code: "unknown_channel",
        detail: with_hint(
            format!("there is no channel `{name}`"),
            nearest(name, known),
        ),
    }
}

/// Whether a channel belongs to one account.
pub(crate) fn is_of_account(channel: &Channel) -> bool {
    channel.name().starts_with(ACCOUNT_CHANNELS)
}
