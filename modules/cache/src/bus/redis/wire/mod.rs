//! Events as they travel between instances: JSON with a version.
//!
//! ```json
//! {"v":1,"on":["messages","messages/0198…"],"what":{"changed":{"collection":"messages","before":null,"after":{"id":"0198…",…}}}}
//! ```
//!
//! Collections and fields go by their names, so that instances of slightly different versions
//! understand each other: what one does not know it passes over, what the other did not send has
//! its default. What no rule, no channel and no reader can ask for is not sent ([`needed`]).
//! Scripts write in this form too: presence in `presence_prelude.lua`, and what was not told in
//! `order_prelude.lua`.

mod document;
mod needed;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use nubo_core::{
    bus::{Channel, Event, What},
    document::Document,
    id::Id,
    observe::Touched,
    schema::{Catalog, Collection, CollectionId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use needed::Needed;

use super::order::Order;

/// Version of the form. Another one is not understood.
const VERSION: u32 = 1;

/// What says that events are missing.
pub(super) const GAP: &str = r#"{"v":1,"on":[],"what":{"gap":{}}}"#;

/// Writes and reads events.
pub(super) struct Wire {
    catalog: Arc<Catalog>,
    needed: Needed,
}

/// What has come over the wire.
#[derive(Debug, PartialEq)]
pub(super) enum Arrival {
    Event(Event),
    /// Of a collection that this instance does not have, and so nobody here can listen to.
    Foreign,
    /// Events are missing before this.
    Gap,
}

/// It cannot be understood, so whoever listens must be told that something is missing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("an event of another instance cannot be read")]
    Json(#[from] serde_json::Error),
    #[error("an event has version {0}, which another version of the server writes")]
    Version(u32),
    #[error("`{field}` of `{collection}` is no {kind} in an event of another instance")]
    Field {
        collection: String,
        field: String,
        kind: String,
    },
    #[error("`{0}` is no id")]
    Id(String),
}

#[derive(Serialize, Deserialize)]
struct Letter<D> {
    v: u32,
    on: Vec<Box<str>>,
    what: Said<D>,
}

/// [`What`] in its written form; `D` is how a document is held.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said<D> {
    Changed {
        collection: Box<str>,
        before: Option<D>,
        after: Option<D>,
    },
    Published {
        collection: Box<str>,
        document: D,
        until: i64,
    },
    Told {
        account: Box<str>,
        json: Box<str>,
        until: i64,
        from: Box<str>,
    },
    Broadcast {
        text: Box<str>,
        from: Box<str>,
    },
    Presence {
        account: Box<str>,
        joined: bool,
    },
    Kicked {
        account: Box<str>,
    },
    AccountChanged {
        account: Box<str>,
    },
    Missed {
        collection: Box<str>,
    },
    Overtaken {
        collection: Option<Box<str>>,
        transactions: Vec<u64>,
    },
    Gap {},
}

impl Wire {
    /// For events of these collections.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            needed: Needed::of(&catalog),
            catalog,
        }
    }

    /// The collections.
    #[cfg(test)]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// An event in its written form.
    pub fn write(&self, event: &Event) -> Result<Vec<u8>, serde_json::Error> {
        let text = |id: &Id| id.to_string().into_boxed_str();
        let name = |collection: &CollectionId| -> Box<str> {
            self.catalog.get(*collection).name.as_str().into()
        };
        let what = match &event.what {
            What::Changed(touched) => {
                let collection = self.catalog.get(touched.collection);
                let document = |document: &Option<Document>| {
                    let document = document.as_ref();
                    document
                        .map(|document| self.needed.write(collection, document))
                        .transpose()
                };
                Said::Changed {
                    collection: collection.name.as_str().into(),
                    before: document(&touched.before)?,
                    after: document(&touched.after)?,
                }
            }
            What::Published {
                collection,
                document,
                until,
            } => {
                let collection = self.catalog.get(*collection);
                Said::Published {
                    collection: collection.name.as_str().into(),
                    document: self.needed.write(collection, document)?,
                    until: until.millis(),
                }
            }
            What::Told {
                account,
                json,
                until,
                from,
            } => Said::Told {
                account: text(account),
                json: (&**json).into(),
                until: until.millis(),
                from: text(from),
            },
            What::Broadcast { text: words, from } => Said::Broadcast {
                text: (&**words).into(),
                from: text(from),
            },
            What::Presence { account, joined } => Said::Presence {
                account: text(account),
                joined: *joined,
            },
            What::Kicked { account } => Said::Kicked {
                account: text(account),
            },
            What::AccountChanged { account } => Said::AccountChanged {
                account: text(account),
            },
            What::Missed { collection } => Said::Missed {
                collection: name(collection),
            },
            What::Overtaken {
                collection,
                transactions,
            } => Said::Overtaken {
                collection: collection.as_ref().map(name),
                transactions: transactions.clone(),
            },
        };
        let on = event.channels.iter().map(|channel| channel.name().into());
        serde_json::to_vec(&Letter {
            v: VERSION,
            on: on.collect(),
            what,
        })
    }

    /// What decides when an event is told, and whether.
    pub fn order(&self, event: &Event) -> Order {
        match &event.what {
            What::Changed(touched) => Order::of(touched, &self.catalog),
            What::Overtaken {
                collection: Some(collection),
                transactions,
            } => Order::once(self.catalog.get(*collection), transactions),
            _ => Order::AsItComes,
        }
    }

    /// Reads what [`Wire::write`] has written, on whichever instance.
    pub fn read(&self, bytes: &[u8]) -> Result<Arrival, Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u32,
        }
        let letter: Letter<Map<String, Json>> = match serde_json::from_slice(bytes) {
            Ok(letter) => letter,
            // Another version is named as such, whatever else is in it.
            Err(error) => match serde_json::from_slice::<Versioned>(bytes) {
                Ok(Versioned { v }) if v != VERSION => return Err(Unreadable::Version(v)),
                _ => return Err(error.into()),
            },
        };
        if letter.v != VERSION {
            return Err(Unreadable::Version(letter.v));
        }
        let Some(what) = self.what(letter.what)? else {
            return Ok(Arrival::Foreign);
        };
        let channels = letter.on.into_iter().map(|name| Channel::new(&*name));
        Ok(match what {
            Meant::Gap => Arrival::Gap,
            Meant::What(what) => Arrival::Event(Event {
                channels: channels.collect(),
                what,
            }),
        })
    }

    /// None where it is about a collection that is unknown here.
    fn what(&self, said: Said<Map<String, Json>>) -> Result<Option<Meant>, Unreadable> {
        let what = match said {
            Said::Changed {
                collection,
                before,
                after,
            } => {
                let Some(collection) = self.collection(&collection) else {
                    return Ok(None);
                };
                let document = |fields: Option<Map<String, Json>>| {
                    fields
                        .map(|fields| self.needed.read(collection, fields))
                        .transpose()
                };
                What::Changed(Arc::new(Touched {
                    collection: collection.id,
                    before: document(before)?,
                    after: document(after)?,
                }))
            }
            Said::Published {
                collection,
                document,
                until,
            } => {
                let Some(collection) = self.collection(&collection) else {
                    return Ok(None);
                };
                What::Published {
                    collection: collection.id,
                    document: self.needed.read(collection, document)?,
                    until: Timestamp::from_millis(until),
                }
            }
            Said::Told {
                account,
                json,
                until,
                from,
            } => What::Told {
                account: id(&account)?,
                json: json.into(),
                until: Timestamp::from_millis(until),
                from: id(&from)?,
            },
            Said::Broadcast { text, from } => What::Broadcast {
                text: text.into(),
                from: id(&from)?,
            },
            Said::Presence { account, joined } => What::Presence {
                account: id(&account)?,
                joined,
            },
            Said::Kicked { account } => What::Kicked {
                account: id(&account)?,
            },
            Said::AccountChanged { account } => What::AccountChanged {
                account: id(&account)?,
            },
            Said::Missed { collection } => match self.collection(&collection) {
                Some(collection) => What::Missed {
                    collection: collection.id,
                },
                None => return Ok(None),
            },
            Said::Overtaken {
                collection,
                transactions,
            } => {
                let known = collection.as_ref().map(|name| self.collection(name));
                if let Some(None) = known {
                    return Ok(None);
                }
                What::Overtaken {
                    collection: known.flatten().map(|collection| collection.id),
                    transactions,
                }
            }
            Said::Gap {} => return Ok(Some(Meant::Gap)),
        };
        Ok(Some(Meant::What(what)))
    }

    fn collection(&self, name: &str) -> Option<&Collection> {
        let collection = self.catalog.any_named(name)?;
        Some(collection)
    }
}

enum Meant {
    What(What),
    Gap,
}

fn id(text: &str) -> Result<Id, Unreadable> {
    text.parse().map_err(|_| Unreadable::Id(text.to_owned()))
}
