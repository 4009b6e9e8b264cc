//! A catalog and a store for tests: everything in memory, in the order in which it came.

use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use nubo_core::{
    Error, Result, Violation,
    caller::Caller,
    clock::{Clock, Random},
    declare::CollectionDeclaration,
    document::Document,
    filter::Expr,
    id::{Id, Revision},
    module::{Context, Module},
    query::{Query, Start},
    schema::{Catalog, Collection, CollectionId},
    store::{Answer as Stored, Expansion, Store},
    time::Timestamp,
    truth::{Body, Page},
    value::Value,
    write::{Operation, Outcome, Sequence, Target},
};
use poem::{Endpoint, Request, Response, Route};
use serde_json::{Value as Json, json};

use crate::{Crud, Settings};

/// Users, posts, comments and a log that only grows.
pub(crate) fn catalog() -> Arc<Catalog> {
    let anyone = json!({
        "read": "public", "create": "public", "update": "public", "delete": "public" });
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(json!([
        { "name": "users", "access": anyone, "fields": { "name": "text!" } },
        {
            "name": "posts",
            "access": anyone,
            "order": "id",
            "fields": {
                "title": { "type": "text", "required": true, "unique": true },
                "author": "ref(users)",
                "likers": "ref(users)[]",
                "price": "int",
                "secret": { "type": "text", "hidden": true },
            },
        },
        { "name": "comments", "access": anyone, "fields": { "post": "ref(posts)!", "author": "ref(users)" } },
        { "name": "logs", "access": anyone, "append_only": true, "fields": { "line": "text!" } },
    ]))
    .unwrap();
    Arc::new(Catalog::compile(&declarations, &[]).unwrap())
}

/// Documents in memory. Revisions count from 1 and up.
#[derive(Default)]
pub(crate) struct Fake {
    documents: Mutex<Vec<(CollectionId, Document)>>,
    /// The expansions of the last list.
    pub expanded: Mutex<Vec<Expansion>>,
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_763_761_500_123)
}

/// `00000000-0000-7000-8000-…`, one after the other.
pub(crate) fn id(number: usize) -> Id {
    format!("00000000-0000-7000-8000-{number:012}")
        .parse()
        .unwrap()
}

impl Fake {
    fn apply(
        &self,
        documents: &mut Vec<(CollectionId, Document)>,
        operation: Operation,
    ) -> Result<Outcome> {
        let catalog = catalog();
        let collection = Arc::clone(catalog.get(operation.collection()));
        let place = collection.id;
        match operation {
            Operation::Create { mut document, .. } => {
                let next = documents.len() + 1;
                collection.complete(&mut document, now(), None, || id(next))?;
                let title = document.value(1);
                let taken = |(c, d): &(CollectionId, Document)| *c == place && d.value(1) == title;
                if collection.name == "posts" && documents.iter().any(taken) {
                    return Err(Error::Conflict {
                        code: "duplicate",
                        detail: "there is such a post".into(),
                        errors: vec![Violation::new("/title", "duplicate", "is taken")],
                    });
                }
                document.set_revision(Revision::new(1));
                documents.push((place, document.clone()));
                Ok(Outcome::Created(document))
            }
            Operation::Update { target, change, .. } => {
                let by_id = matches!(target, Target::One { .. });
                let mut changed = None;
                let (mut matched, mut modified) = (0, 0);
                for at in self.find(documents, &collection, &target)? {
                    let document = &mut documents[at].1;
                    let before = document.clone();
                    change
                        .apply(document, &collection, now())
                        .map_err(Error::Invalid)?;
                    matched += 1;
                    if *document != before {
                        modified += 1;
                        document.set_revision(document.revision().next(0));
                    }
                    changed = Some(document.clone());
                }
                Ok(match changed {
                    Some(document) if by_id => Outcome::Updated(document),
                    _ => Outcome::Changed { matched, modified },
                })
            }
            Operation::Delete { target, .. } => {
                let found = self.find(documents, &collection, &target)?;
                for at in found.iter().rev() {
                    documents.remove(*at);
                }
                Ok(match target {
                    Target::One { .. } => Outcome::Deleted,
                    Target::Matching(_) => Outcome::Removed(found.len() as u64),
                })
            }
        }
    }

    fn find(
        &self,
        documents: &[(CollectionId, Document)],
        collection: &Collection,
        target: &Target,
    ) -> Result<Vec<usize>> {
        let of_collection = documents
            .iter()
            .enumerate()
            .filter(|(_, (place, _))| *place == collection.id);
        match target {
            Target::Matching(filter) => Ok(of_collection
                .filter(|(_, (_, document))| filter.matches(document, collection.fields(), &()))
                .map(|(at, _)| at)
                .collect()),
            Target::One { id, guard } => {
                let mut found = of_collection.filter(|(_, (_, d))| d.id() == Some(*id));
                let (at, (_, document)) = found
                    .next()
                    .ok_or_else(|| Error::no_document(&collection.name))?;
                let current = document.revision();
                match &guard.revisions {
                    Some(revisions) if !revisions.contains(&current) => {
                        Err(Error::PreconditionFailed {
                            current: current.number(),
                        })
                    }
                    _ => Ok(vec![at]),
                }
            }
        }
    }
}

#[async_trait]
impl Store for Fake {
    async fn write_with(
        &self,
        _: &Caller,
        operations: Vec<Operation>,
        _: Vec<Operation>,
    ) -> Result<Vec<Outcome>> {
        let mut documents = self.documents.lock().unwrap();
        let mut copy = documents.clone();
        let several = operations.len() > 1;
        let outcomes: Result<Vec<Outcome>> = operations
            .into_iter()
            .enumerate()
            .map(|(index, operation)| {
                self.apply(&mut copy, operation)
                    .map_err(|error| match several {
                        true => error.nested(&format!("/{index}")),
                        false => error,
                    })
            })
            .collect();
        if outcomes.is_ok() {
            *documents = copy;
        }
        outcomes
    }

    async fn write_each(
        &self,
        _: &Caller,
        operations: Vec<Operation>,
        sequence: Sequence,
    ) -> Vec<Result<Outcome>> {
        let mut documents = self.documents.lock().unwrap();
        let mut results = Vec::new();
        for operation in operations {
            let result = self.apply(&mut documents, operation);
            let stop = result.is_err() && sequence == Sequence::StopAtError;
            results.push(result);
            if stop {
                break;
            }
        }
        results
    }

    async fn get(
        &self,
        _: &Caller,
        collection: CollectionId,
        id: Id,
    ) -> Result<Option<Stored<Body>>> {
        let documents = self.documents.lock().unwrap();
        let found = documents
            .iter()
            .find(|(place, document)| *place == collection && document.id() == Some(id));
        Ok(found.map(|(_, document)| {
            let mut json = Vec::new();
            document.write_json(catalog().get(collection), &mut json);
            let body = Body {
                json: json.into(),
                revision: document.revision(),
            };
            Stored::truth(body, "there is nothing else here")
        }))
    }

    /// In the order in which the documents came, which is the order of their ids.
    async fn find(&self, _: &Caller, _: Query) -> Result<Vec<Document>> {
        unreachable!("no route asks for documents")
    }

    async fn list_at_once(&self, caller: &Caller, query: Query) -> Result<Stored<Page>> {
        self.list(caller, query, &[]).await
    }

    async fn list(&self, _: &Caller, query: Query, expand: &[Expansion]) -> Result<Stored<Page>> {
        *self.expanded.lock().unwrap() = expand.to_vec();
        let catalog = catalog();
        let collection = catalog.get(query.collection);
        let documents = self.documents.lock().unwrap();
        let target = Target::Matching(query.filter);
        let found: Vec<&Document> = self
            .find(&documents, collection, &target)?
            .into_iter()
            .map(|at| &documents[at].1)
            .collect();
        let skipped = match &query.start {
            Start::First => 0,
            Start::Offset(offset) => usize::try_from(*offset).unwrap_or(usize::MAX),
            Start::After(keys) => {
                let last = keys.last();
                let at = found
                    .iter()
                    .position(|d| Some(d.value(Collection::ID)) == last);
                at.map_or(found.len(), |at| at + 1)
            }
        };
        let limit = query.limit as usize;
        let stretch: Vec<&Document> = found.iter().skip(skipped).take(limit).copied().collect();
        let mut json = Vec::new();
        for (index, document) in stretch.iter().enumerate() {
            if index > 0 {
                json.extend_from_slice(b",\n");
            }
            let fields = query.fields.as_deref();
            let fields = fields.unwrap_or(collection.sent_fields());
            document.write_fields(collection, fields, &mut json);
        }
        let more = found.len() > skipped.saturating_add(limit);
        let keys = |document: &&Document| -> Vec<Value> {
            let keys = query.sort.iter();
            keys.map(|key| document.value(key.field).clone()).collect()
        };
        let page = Page {
            documents: json.into(),
            count: u32::try_from(stretch.len()).unwrap(),
            next: stretch.last().filter(|_| more).map(keys),
        };
        Ok(Stored::truth(page, "there is nothing else here"))
    }

    async fn count(&self, _: &Caller, collection: CollectionId, filter: Expr) -> Result<u64> {
        let documents = self.documents.lock().unwrap();
        let collection = Arc::clone(catalog().get(collection));
        let target = Target::Matching(filter);
        Ok(self.find(&documents, &collection, &target)?.len() as u64)
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}

struct Stopped;

impl Clock for Stopped {
    fn micros(&self) -> i64 {
        now().millis() * 1000
    }
}

impl Random for Stopped {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// The module over a fake store.
pub(crate) struct Server {
    pub store: Arc<Fake>,
    pub route: Route,
}

impl Server {
    pub fn new() -> Self {
        Self::with(Settings {
            explain: false,
            max_limit: 10,
            default_limit: 2,
            max_bulk: 5,
            max_batch: 5,
            body_limit: 1000,
            bulk_limit: 2000,
        })
    }

    pub fn with(settings: Settings) -> Self {
        let store = Arc::new(Fake::default());
        let context = Context {
            settings: serde_json::to_value(settings).unwrap(),
            data: "data".into(),
            catalog: catalog(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            bus: Arc::new(nubo_core::bus::NoBus),
            sessions: Arc::new(nubo_core::sessions::NoSessions),
            buckets: Arc::new(nubo_core::throttle::LocalBuckets::new(1, Arc::new(Stopped))),
            is_sole_writer: true,
            origins: Vec::new(),
            clock: Arc::new(Stopped),
            random: Arc::new(Stopped),
            document: Arc::new(OnceLock::new()),
            about: nubo_core::module::About::default(),
        };
        let contribution = Crud.setup(&context).unwrap();
        let route = contribution
            .routes
            .into_iter()
            .fold(Route::new(), |all, route| {
                all.at(route.path, route.endpoint)
            });
        Self { store, route }
    }

    /// Sends a request without a body.
    pub async fn send(&self, method: &str, uri: &str) -> Answer {
        self.send_with(method, uri, &[], Vec::new()).await
    }

    /// Sends JSON.
    pub async fn json(&self, method: &str, uri: &str, body: Json) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send_with(method, uri, &headers, body.to_string())
            .await
    }

    pub async fn send_with(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method.parse().unwrap())
            .uri_str(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into());
        Answer::of(self.route.call(request).await.unwrap()).await
    }
}

/// An answer, read.
pub(crate) struct Answer {
    pub status: u16,
    headers: poem::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.into_vec().await.unwrap(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The places that the errors name.
    pub fn places(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().into_iter().flatten();
        errors
            .map(|error| error["path"].as_str().unwrap().to_owned())
            .collect()
    }
}
