//! Lists whose documents bring related ones along.
//!
//! One question to the truth for each level and expansion, whatever the number of documents: the
//! references of all documents of a level are collected, asked for together and handed out again.
//! A related document is rendered once, with what it brings along itself, and then copied to
//! wherever it belongs.

use std::{
    borrow::Cow,
    cmp,
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use nubo_core::{
    Error, Result,
    access::View,
    caller::Caller,
    document::Document,
    filter::{Expr, Path, Test},
    id::Id,
    query::{Cursor, Query, Related, Start},
    schema::{Collection, CollectionId, SortKey},
    store::{Answer, Expansion, ExpansionKind, Tier},
    time::Timestamp,
    truth::Page,
    value::Value,
};
use uuid::Uuid;

use crate::Tiers;

/// How many documents of another collection each document brings along: as many as a list does
/// that names no limit.
const RELATED_EACH: usize = 20;
/// How many related documents one list may bring along in all. Three levels of twenty would be
/// more than a million otherwise.
const MAX_RELATED: usize = 10_000;
/// How many bytes related documents may take in one answer, each copy counted.
const MAX_BYTES: usize = 32 << 20;
/// How many references go into one question.
const CHUNK: usize = 500;

impl Tiers {
    /// A page whose documents carry their related ones under `_expand`.
    pub(crate) async fn expanded_page(
        &self,
        caller: &Caller,
        query: Query,
        view: &View,
        expand: &[Expansion],
    ) -> Result<Answer<Page>> {
        let collection = self.catalog.get(query.collection).clone();
        let now = self.clock.now();
        let reader = Reader { caller, now };
        self.check_expansions(reader, &collection, expand)?;
        let limit = query.limit as usize;
        let fields = query.fields.clone();
        let sort = query.sort.clone();
        // One more than asked for tells whether the list goes on. All fields are needed, for a
        // reference may be followed that is not to be shown.
        let query = Query {
            limit: query.limit.saturating_add(1),
            fields: None,
            ..query
        };
        let answer = self.read_documents(query, view).await?;
        let (mut documents, tier, why) = (answer.content, answer.tier, answer.why);
        let more = documents.len() > limit;
        documents.truncate(limit);

        let budget = Budget::default();
        let brought = self.bring(&documents, expand, reader, &budget).await?;
        let shown = fields.as_deref().unwrap_or(collection.sent_fields());
        let mut out = Vec::with_capacity(documents.len() * 512);
        for (index, document) in documents.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b",\n");
            }
            document.write_fields(&collection, shown, &mut out);
            splice(&mut out, expand, &brought, index)?;
        }
        let last = documents.last().filter(|_| more);
        let page = Page {
            documents: out.into(),
            count: u32::try_from(documents.len()).unwrap_or(u32::MAX),
            next: last.map(|last| keys_of(last, &sort)),
        };
        let slowest = budget.slowest();
        let (tier, why) = match slowest > tier {
            true => (
                slowest,
                Cow::Borrowed("related documents came from a slower tier"),
            ),
            false => (tier, why),
        };
        Ok(Answer {
            content: page,
            tier,
            why,
        })
    }

    /// 403 where an expansion goes through a field that the reader cannot always see.
    fn check_expansions(
        &self,
        reader: Reader<'_>,
        here: &Collection,
        expand: &[Expansion],
    ) -> Result<()> {
        for expansion in expand {
            let (through, field, next) = match expansion.kind {
                ExpansionKind::Forward { field, target } => (here, field, target),
                ExpansionKind::Reverse { collection, field } => {
                    (&**self.catalog.get(collection), field, collection)
                }
            };
            reader.view(through).check_named(through, [field])?;
            self.check_expansions(reader, self.catalog.get(next), &expansion.inner)?;
        }
        Ok(())
    }

    /// What each expansion brings each of these documents, as JSON.
    fn bring<'a>(
        &'a self,
        documents: &'a [Document],
        expand: &'a [Expansion],
        reader: Reader<'a>,
        budget: &'a Budget,
    ) -> BoxFuture<'a, Result<Vec<Brought>>> {
        async move {
            if documents.is_empty() {
                return Ok(Vec::new());
            }
            try_join_all(expand.iter().map(async |expansion| {
                let inner = &expansion.inner;
                match expansion.kind {
                    ExpansionKind::Forward { field, target } => {
                        self.forward(documents, field, target, inner, reader, budget)
                            .await
                    }
                    ExpansionKind::Reverse { collection, field } => {
                        self.reverse(documents, collection, field, inner, reader, budget)
                            .await
                    }
                }
            }))
            .await
        }
        .boxed()
    }

    /// The documents that a field of these ones references.
    async fn forward(
        &self,
        documents: &[Document],
        field: usize,
        target: CollectionId,
        inner: &[Expansion],
        reader: Reader<'_>,
        budget: &Budget,
    ) -> Result<Brought> {
        let collection = self.catalog.get(target);
        let view = reader.view(collection);
        let mut ids: Vec<Uuid> = documents
            .iter()
            .flat_map(|document| references(document.value(field)))
            .collect();
        ids.sort_unstable();
        ids.dedup();

        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            budget.spend(ids.len())?;
            let ids: Vec<Id> = ids.iter().copied().map(Id::from_uuid).collect();
            let answer = self.read_by_ids(collection, &ids, &view).await?;
            budget.note(answer.tier);
            found.extend(answer.content);
        }
        let rendered = self
            .render(&found, collection, inner, reader, budget)
            .await?;

        let each = documents
            .iter()
            .map(|document| match document.value(field) {
                Value::List(_) => {
                    let there =
                        references(document.value(field)).filter_map(|id| rendered.get(&id));
                    list(there, budget)
                }
                value => match references(value).find_map(|id| rendered.get(&id)) {
                    Some(found) => {
                        budget.copy(found.len())?;
                        Ok(found.clone())
                    }
                    None => Ok(b"null".to_vec()),
                },
            })
            .collect::<Result<_>>()?;
        Ok(Brought(each))
    }

    /// The documents of another collection whose field references these ones: the first of the list
    /// that `GET /<collection>?filter={"<field>":"<id>"}` gives, and the cursor that continues it.
    async fn reverse(
        &self,
        documents: &[Document],
        other: CollectionId,
        field: usize,
        inner: &[Expansion],
        reader: Reader<'_>,
        budget: &Budget,
    ) -> Result<Brought> {
        let collection = self.catalog.get(other);
        let view = reader.view(collection);
        let parents: Vec<Option<Uuid>> = documents
            .iter()
            .map(|document| document.id().map(|id| id.uuid()))
            .collect();
        let mut ids: Vec<Uuid> = parents.iter().copied().flatten().collect();
        ids.sort_unstable();
        ids.dedup();

        let mut found: HashMap<Uuid, Document> = HashMap::new();
        for ids in ids.chunks(CHUNK) {
            let related = Related {
                collection: other,
                field,
                values: ids.iter().copied().map(Value::Uuid).collect(),
                sort: collection.order.clone(),
                limit_each: RELATED_EACH as u32 + 1,
            };
            budget.note(Tier::Truth);
            let documents = self.truth.find_related(related, &view).await?;
            budget.spend(documents.len())?;
            // A document with a list of references may come once for each of them.
            found.extend(
                documents
                    .into_iter()
                    .filter_map(|document| Some((document.id()?.uuid(), document))),
            );
        }

        let mut groups: HashMap<Uuid, Vec<&Document>> =
            ids.iter().map(|id| (*id, Vec::new())).collect();
        for document in found.values() {
            for parent in distinct(references(document.value(field))) {
                if let Some(group) = groups.get_mut(&parent) {
                    group.push(document);
                }
            }
        }
        let mut shown: HashMap<Uuid, Document> = HashMap::new();
        let mut lists: HashMap<Uuid, Continued> = HashMap::with_capacity(groups.len());
        for (parent, mut group) in groups {
            group.sort_by(|a, b| in_order(a, b, &collection.order));
            let more = group.len() > RELATED_EACH;
            group.truncate(RELATED_EACH);
            let last = group.last().filter(|_| more);
            let next = last.map(|last| {
                let query = references_to(collection, field, parent);
                Cursor::encode(&query, collection, last)
            });
            let members = group.iter().filter_map(|document| document.id());
            let members = members.map(|id| id.uuid()).collect();
            for document in group {
                if let Some(id) = document.id() {
                    shown.entry(id.uuid()).or_insert_with(|| document.clone());
                }
            }
            lists.insert(parent, Continued { members, next });
        }
        let shown: Vec<Document> = shown.into_values().collect();
        let rendered = self
            .render(&shown, collection, inner, reader, budget)
            .await?;

        let each = parents.iter().map(|parent| {
            let continued = parent.and_then(|parent| lists.get(&parent));
            let (members, next) = continued.map_or((&[][..], None), |continued| {
                (&continued.members[..], continued.next.as_deref())
            });
            let mut out = b"{\"data\":".to_vec();
            out.extend(list(
                members.iter().filter_map(|id| rendered.get(id)),
                budget,
            )?);
            out.extend_from_slice(b",\"next_cursor\":");
            // A cursor is base64 and needs no escaping.
            match next {
                Some(cursor) => {
                    out.push(b'"');
                    out.extend_from_slice(cursor.as_bytes());
                    out.push(b'"');
                }
                None => out.extend_from_slice(b"null"),
            }
            out.push(b'}');
            Ok(out)
        });
        Ok(Brought(each.collect::<Result<_>>()?))
    }

    /// Renders documents with what they bring along themselves, by their ids.
    async fn render(
        &self,
        documents: &[Document],
        collection: &Collection,
        expand: &[Expansion],
        reader: Reader<'_>,
        budget: &Budget,
    ) -> Result<HashMap<Uuid, Vec<u8>>> {
        let brought = self.bring(documents, expand, reader, budget).await?;
        let mut rendered = HashMap::with_capacity(documents.len());
        for (index, document) in documents.iter().enumerate() {
            let mut out = Vec::new();
            document.write_json(collection, &mut out);
            if !expand.is_empty() {
                splice(&mut out, expand, &brought, index)?;
            }
            if let Some(id) = document.id() {
                rendered.insert(id.uuid(), out);
            }
        }
        self.complete_related(collection, documents, &mut rendered)
            .await?;
        Ok(rendered)
    }
}

/// On whose behalf related documents are brought, and when.
#[derive(Clone, Copy)]
struct Reader<'a> {
    caller: &'a Caller,
    now: Timestamp,
}

impl Reader<'_> {
    /// What is seen of a collection. Where that is nothing, nothing comes along.
    fn view(self, collection: &Collection) -> View {
        collection.view(self.caller, self.now)
    }
}

/// What one expansion brings: JSON for each document, in their order.
struct Brought(Vec<Vec<u8>>);

/// The beginning of a list and the cursor that continues it.
struct Continued {
    members: Vec<Uuid>,
    next: Option<String>,
}

/// How much more a list may bring along.
#[derive(Default)]
struct Budget {
    documents: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether anything came from the recent tier, or from the truth.
    recent: AtomicBool,
    truth: AtomicBool,
}

impl Budget {
    /// Notes where related documents came from.
    fn note(&self, tier: Tier) {
        match tier {
            Tier::Cache => {}
            Tier::Recent => self.recent.store(true, Ordering::Relaxed),
            Tier::Truth => self.truth.store(true, Ordering::Relaxed),
        }
    }

    /// The slowest tier that anything came from.
    fn slowest(&self) -> Tier {
        let came = |from: &AtomicBool| from.load(Ordering::Relaxed);
        match (came(&self.truth), came(&self.recent)) {
            (true, _) => Tier::Truth,
            (false, true) => Tier::Recent,
            (false, false) => Tier::Cache,
        }
    }

    /// Notes related documents that were fetched.
    fn spend(&self, documents: usize) -> Result<()> {
        let before = self.documents.fetch_add(documents, Ordering::Relaxed);
        match before + documents <= MAX_RELATED {
            true => Ok(()),
            false => Err(too_large(format!(
                "more than {MAX_RELATED} related documents"
            ))),
        }
    }

    /// Notes a copy of a related document that goes into the answer.
    fn copy(&self, bytes: usize) -> Result<()> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        match before + bytes <= MAX_BYTES {
            true => Ok(()),
            false => Err(too_large(format!("more than {} MiB", MAX_BYTES >> 20))),
        }
    }
}

fn too_large(what: String) -> Error {
    Error::bad_request(
        "expansion_too_large",
        format!("the expansion brings {what}; ask for a smaller page or fewer levels"),
    )
}

/// The list that the cursor of a reverse expansion continues. A client asks for it with a filter on
/// the field and nothing else, so the query must be the one that such a request becomes.
fn references_to(collection: &Collection, field: usize, id: Uuid) -> Query {
    let path = Path::to_field(field, &collection.fields()[field]);
    Query {
        collection: collection.id,
        filter: Expr::field(path, Test::Equal(Value::Uuid(id))),
        sort: collection.order.clone(),
        start: Start::First,
        limit: RELATED_EACH as u32,
        fields: None,
    }
}

/// Puts `_expand` in as the last key of the object that was just written.
fn splice(
    out: &mut Vec<u8>,
    expand: &[Expansion],
    brought: &[Brought],
    index: usize,
) -> Result<()> {
    let end = out.pop();
    debug_assert_eq!(end, Some(b'}'));
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(b"\"_expand\":{");
    for (position, (expansion, Brought(each))) in expand.iter().zip(brought).enumerate() {
        if position > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &expansion.name).map_err(Error::internal)?;
        out.push(b':');
        out.extend_from_slice(each.get(index).map_or(b"null", Vec::as_slice));
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// A JSON list. Without line breaks, which separate the documents of a page.
fn list<'a>(items: impl Iterator<Item = &'a Vec<u8>>, budget: &Budget) -> Result<Vec<u8>> {
    let mut out = vec![b'['];
    for (index, item) in items.enumerate() {
        budget.copy(item.len())?;
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.push(b']');
    Ok(out)
}

/// The ids that a reference, or a list of them, holds.
fn references(value: &Value) -> impl Iterator<Item = Uuid> + '_ {
    let values = match value {
        Value::List(items) => items.as_slice(),
        value => std::slice::from_ref(value),
    };
    values.iter().filter_map(|value| match value {
        Value::Uuid(uuid) => Some(*uuid),
        _ => None,
    })
}

fn distinct(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn keys_of(document: &Document, sort: &[SortKey]) -> Vec<Value> {
    sort.iter()
        .map(|key| document.value(key.field).clone())
        .collect()
}

/// How two documents of a list stand to each other.
fn in_order(a: &Document, b: &Document, sort: &[SortKey]) -> cmp::Ordering {
    sort.iter()
        .map(|key| {
            let order = a.value(key.field).sort_order(b.value(key.field));
            match key.descending {
                true => order.reverse(),
                false => order,
            }
        })
        .find(|order| order.is_ne())
        .unwrap_or(cmp::Ordering::Equal)
}
