//! Fields that are not stored: what only the moment of reading knows.
//!
//! They are added to the bytes that come from the tiers, so that no tier has to know of them and
//! collections without them pay nothing.

use std::collections::HashMap;

use nubo_core::{
    Error, Result,
    bus::Channel,
    declare::VirtualField,
    document::Document,
    id::Id,
    query::Query,
    schema::{Collection, CollectionId},
    truth::{Body, Page},
};
use uuid::Uuid;

use crate::Tiers;

/// Bytes of a virtual field, about.
const ROOM: usize = 24;
/// What every document begins with, the id following.
const BEFORE_ID: &[u8] = b"{\"id\":\"";
const ID_LENGTH: usize = 36;

impl Tiers {
    /// The query as the tiers understand it, and the numbers of the virtual fields that it wants.
    pub(crate) fn without_virtual(&self, mut query: Query) -> (Query, Vec<usize>) {
        let collection = self.catalog.get(query.collection);
        let stored = collection.fields().len();
        let all = 0..collection.virtual_fields().len();
        let wanted = match &mut query.fields {
            None => all.collect(),
            Some(fields) => {
                let wanted = fields.iter().filter_map(|field| field.checked_sub(stored));
                let wanted = wanted.collect();
                fields.retain(|field| *field < stored);
                wanted
            }
        };
        (query, wanted)
    }

    /// A document with all its virtual fields.
    pub(crate) async fn complete_body(
        &self,
        collection: CollectionId,
        id: Id,
        mut body: Body,
    ) -> Result<Body> {
        let collection = self.catalog.get(collection);
        if collection.virtual_fields().is_empty() {
            return Ok(body);
        }
        let all: Vec<usize> = (0..collection.virtual_fields().len()).collect();
        let found = self.found_out(collection, &all, &[id]).await?;
        let mut json = Vec::with_capacity(body.json.len() + ROOM * all.len());
        json.extend_from_slice(&body.json);
        found.add_to(&mut json, 0);
        body.json = json.into();
        Ok(body)
    }

    /// A page with these virtual fields.
    pub(crate) async fn complete_page(
        &self,
        collection: CollectionId,
        mut page: Page,
        wanted: &[usize],
    ) -> Result<Page> {
        if wanted.is_empty() || page.count == 0 {
            return Ok(page);
        }
        let documents = separate(&page.documents);
        let ids = documents
            .iter()
            .map(|document| id_of(document))
            .collect::<Result<Vec<_>>>()?;
        let collection = self.catalog.get(collection);
        let found = self.found_out(collection, wanted, &ids).await?;
        let room = page.documents.len() + documents.len() * wanted.len() * ROOM;
        let mut json = Vec::with_capacity(room);
        for (position, document) in documents.iter().enumerate() {
            if position > 0 {
                json.extend_from_slice(b",\n");
            }
            json.extend_from_slice(document);
            found.add_to(&mut json, position);
        }
        page.documents = json.into();
        Ok(page)
    }

    /// Adds all virtual fields to related documents, which have been rendered.
    pub(crate) async fn complete_related(
        &self,
        collection: &Collection,
        documents: &[Document],
        rendered: &mut HashMap<Uuid, Vec<u8>>,
    ) -> Result<()> {
        if collection.virtual_fields().is_empty() {
            return Ok(());
        }
        let all: Vec<usize> = (0..collection.virtual_fields().len()).collect();
        let ids: Vec<Id> = documents.iter().filter_map(Document::id).collect();
        let found = self.found_out(collection, &all, &ids).await?;
        for (position, id) in ids.iter().enumerate() {
            if let Some(json) = rendered.get_mut(&id.uuid()) {
                found.add_to(json, position);
            }
        }
        Ok(())
    }

    /// What some virtual fields are for some documents now.
    async fn found_out<'a>(
        &self,
        collection: &'a Collection,
        wanted: &[usize],
        ids: &[Id],
    ) -> Result<FoundOut<'a>> {
        let mut fields = Vec::with_capacity(wanted.len());
        let wanted = wanted
            .iter()
            .filter_map(|index| collection.virtual_fields().get_index(*index));
        for (name, field) in wanted {
            let values = match field {
                VirtualField::Presence => self.bus.are_present(&Channel::connected(), ids).await?,
            };
            fields.push((name.as_str(), values));
        }
        Ok(FoundOut(fields))
    }
}

/// The virtual fields of some documents, in their order.
struct FoundOut<'a>(Vec<(&'a str, Vec<bool>)>);

impl FoundOut<'_> {
    /// Puts the fields of a document at the end of its JSON.
    fn add_to(&self, json: &mut Vec<u8>, position: usize) {
        let end = json.pop();
        debug_assert_eq!(end, Some(b'}'));
        for (name, values) in &self.0 {
            let value: &[u8] = match values.get(position) {
                Some(true) => b"\":true",
                _ => b"\":false",
            };
            // A name is letters, digits and underscores, and the id stands before it.
            json.extend_from_slice(b",\"");
            json.extend_from_slice(name.as_bytes());
            json.extend_from_slice(value);
        }
        json.push(b'}');
    }
}

/// The documents of a page. No line break stands inside one, because JSON escapes it.
fn separate(documents: &[u8]) -> Vec<&[u8]> {
    let lines = documents.split(|byte| *byte == b'\n');
    lines
        .map(|line| line.strip_suffix(b",").unwrap_or(line))
        .collect()
}

fn id_of(document: &[u8]) -> Result<Id> {
    let id = document
        .strip_prefix(BEFORE_ID)
        .and_then(|rest| rest.get(..ID_LENGTH));
    let id = id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
    id.ok_or_else(|| Error::internal("a document does not begin with its id"))
}
