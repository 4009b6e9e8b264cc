//! How changes reach those who listen: the channels of a collection.

use crate::{
    bus::Channel,
    document::Document,
    field::FieldType,
    filter::Expr,
    id::Id,
    schema::{Collection, CollectionId},
    value::Value,
};

/// Channels whose name begins like this belong to one account, and to nobody else.
pub const ACCOUNT_CHANNELS: &str = "user:";

/// What a collection says to those who listen.
#[derive(Debug, Clone, PartialEq)]
pub struct Realtime {
    /// Whether it says anything.
    pub announced: bool,
    /// The channel of its own, beside that of the collection and that of the document.
    pub channel: Option<ChannelTemplate>,
    /// How long a message without storage is of interest, in milliseconds.
    pub lifetime: i64,
}

impl Default for Realtime {
    fn default() -> Self {
        Self {
            announced: true,
            channel: None,
            lifetime: 1000,
        }
    }
}

/// The names of channels that follow from documents: `conversation:{conversation_id}`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelTemplate {
    /// As it was written.
    pub text: String,
    pub(super) parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    /// The value of the field with this index.
    Field(usize),
}

impl ChannelTemplate {
    /// The channel of a document; none where it lacks a value.
    pub fn channel(&self, document: &Document) -> Option<Channel> {
        let mut name = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Field(field) => push_value(&mut name, document.value(*field))?,
            }
        }
        Some(Channel::new(name))
    }

    /// The fields whose values stand in the names, in their order.
    pub fn fields(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Field(field) => Some(*field),
        })
    }

    /// The texts around the values. Templates in which they are the same name the same channels.
    pub fn texts(&self) -> Vec<Option<&str>> {
        let texts = self.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Field(_) => None,
        });
        texts.collect()
    }

    /// What the documents of a channel have in common: a filter; none where the name is not of this
    /// template.
    pub fn condition(&self, name: &str, collection: &Collection) -> Option<Expr> {
        let mut condition = Expr::always();
        for (field, value) in self.values(name, collection)? {
            let path = crate::filter::Path::to_field(field, &collection.fields()[field]);
            condition = condition.and(Expr::field(path, crate::filter::Test::Equal(value)));
        }
        Some(condition)
    }

    /// The documents that a channel is named after: whoever cannot read them cannot enter it.
    pub fn named_after(&self, name: &str, collection: &Collection) -> Vec<(CollectionId, Id)> {
        let values = self.values(name, collection).unwrap_or_default();
        let references = values.into_iter().filter_map(|(field, value)| {
            let target = match &collection.fields()[field].kind {
                FieldType::Ref(target) => target.collection,
                _ if field == Collection::ID => collection.id,
                _ => return None,
            };
            match value {
                Value::Uuid(uuid) => Some((target, Id::from_uuid(uuid))),
                _ => None,
            }
        });
        references.collect()
    }

    /// The fields' values in a name.
    fn values(&self, name: &str, collection: &Collection) -> Option<Vec<(usize, Value)>> {
        let mut rest = name;
        let mut values = Vec::new();
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Field(field) => {
                    // Two fields never touch each other, so a text follows or the end.
                    let end = match parts.peek() {
                        Some(Part::Text(text)) => rest.find(text.as_str())?,
                        _ => rest.len(),
                    };
                    let (value, left) = rest.split_at(end);
                    rest = left;
                    values.push((
                        *field,
                        read_value(value, &collection.fields()[*field].kind)?,
                    ));
                }
            }
        }
        rest.is_empty().then_some(values)
    }
}

/// Whether values of a type can stand in a name.
pub(super) const fn can_be_named(kind: &FieldType) -> bool {
    matches!(
        kind,
        FieldType::Uuid | FieldType::Ref(_) | FieldType::Int | FieldType::BigInt | FieldType::Text
    )
}

fn push_value(name: &mut String, value: &Value) -> Option<()> {
    match value {
        Value::Uuid(uuid) => {
            name.push_str(uuid.as_hyphenated().encode_lower(&mut [0; 36]));
        }
        Value::Int(number) => name.push_str(itoa::Buffer::new().format(*number)),
        Value::Text(text) => name.push_str(text),
        _ => return None,
    }
    Some(())
}

fn read_value(text: &str, kind: &FieldType) -> Option<Value> {
    match kind {
        FieldType::Uuid | FieldType::Ref(_) => {
            let id: Id = text.parse().ok()?;
            // One document has one channel, so there is one spelling.
            (id.to_string() == text).then(|| Value::Uuid(id.uuid()))
        }
        FieldType::Int | FieldType::BigInt => {
            let number: i64 = text.parse().ok()?;
            (itoa::Buffer::new().format(number) == text).then_some(Value::Int(number))
        }
        FieldType::Text => Some(Value::Text(text.to_owned())),
        _ => None,
    }
}

impl Collection {
    /// The channel of everything in the collection.
    pub fn channel(&self) -> Channel {
        Channel::new(self.name.as_str())
    }

    /// The channel of one document.
    pub fn document_channel(&self, id: Id) -> Channel {
        Channel::new(format!("{}/{id}", self.name))
    }

    /// The channels on which a change is heard: of what was and of what is.
    pub fn channels(&self, before: Option<&Document>, after: Option<&Document>) -> Vec<Channel> {
        let mut channels = Vec::with_capacity(4);
        if !self.is_flux {
            channels.push(self.channel());
            let id = after.or(before).and_then(Document::id);
            channels.extend(id.map(|id| self.document_channel(id)));
        }
        if let Some(template) = &self.realtime.channel {
            for document in [before, after].into_iter().flatten() {
                let channel = template.channel(document);
                if channel.as_ref().is_some_and(|c| !channels.contains(c)) {
                    channels.extend(channel);
                }
            }
        } else if self.is_flux {
            channels.push(self.channel());
        }
        channels
    }
}
