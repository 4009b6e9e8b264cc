//! A store in memory, a clock and dice in hand, and a server around the module, for tests.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
};

use async_trait::async_trait;
use nubo_core::{
    Error, Result, Violation,
    access::{Permit, View},
    bus::Bus,
    caller::Caller,
    change::Action,
    clock::{Clock, Random, new_id},
    declare::CollectionDeclaration,
    document::Document,
    filter::Expr,
    id::{Id, Revision},
    module::{Context, Contribution, Module, SetupError},
    observe::{Observer, Touched},
    passwords::Passwords,
    query::Query,
    schema::{Catalog, Collection, CollectionId},
    sessions::{ClientAddress, Identity, Sessions},
    store::{Answer as Stored, Expansion, Store},
    truth::{Body, Page},
    value::Value,
    write::{Operation, Outcome, Sequence, Target},
};
use poem::{Endpoint, Request, Response, Route};
use serde_json::{Value as Json, json};

use crate::Auth;

/// A clock that is moved by hand.
pub(crate) struct Hands(AtomicI64);

impl Default for Hands {
    fn default() -> Self {
        Self(AtomicI64::new(1_795_000_000_000_000))
    }
}

impl Hands {
    /// Lets so many milliseconds pass; also backwards.
    pub fn pass(&self, millis: i64) {
        self.0.fetch_add(millis * 1000, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts up in place of chance.
#[derive(Default)]
pub(crate) struct Dice(AtomicU8);

impl Dice {
    pub fn starting_at(number: u8) -> Self {
        Self(AtomicU8::new(number))
    }
}

impl Random for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Collections as people might have them: accounts with a list of roles and a state, sessions, an
/// audit log.
pub(crate) fn declarations() -> Json {
    json!([
        {
            "name": "users",
            "owner": "id",
            "fields": {
                "username": {
                    "type": "text", "required": true, "unique": true, "min_length": 2,
                    "normalize": ["nfkc", "lower"],
                },
                "email": {
                    "type": "email", "required": true, "unique": true,
                    "normalize": ["trim", "lower"], "readable_by": ["owner", "role:admin"],
                },
                "password": { "type": "password", "required": true, "min_length": 8 },
                "first_name": { "type": "text", "required": true },
                "bio": "text",
                "company": "text",
                "birthdate": "date",
                "grade": { "type": "int", "default": 1 },
                "roles": { "type": "text[]", "default": ["user"], "writable_by": "role:admin" },
                "state": {
                    "type": "int", "default": 1, "writable_by": "role:admin",
                    "enum": { "active": 1, "deleted": 0, "banned": 2, "suspended": 3 },
                },
                "login_count": { "type": "int", "default": 0, "writable_by": "none" },
                "last_login": { "type": "timestamp", "writable_by": "none" },
            },
            "access": {
                "read": ["owner", "role:admin"],
                "create": ["owner", "role:admin"],
                "update": ["owner", "role:admin"],
            },
        },
        {
            "name": "sessions",
            "owner": "user_id",
            "fields": {
                "user_id": { "type": "ref", "to": "users", "required": true },
                "refresh_token_hash": { "type": "text", "required": true, "hidden": true },
                "generation": { "type": "int", "default": 0, "hidden": true },
                "refreshed_at": "timestamp",
                "device_info": "json",
                "ip": "ip[]",
                "expires_at": "timestamp!",
                "revoked": { "type": "bool", "default": false },
            },
            "access": { "read": "owner", "create": "none", "update": "none", "delete": "owner" },
        },
        {
            "name": "audit_logs",
            "append_only": true,
            "fields": {
                "actor_id": "uuid", "action": "text!", "collection": "text",
                "document_id": "uuid", "ip": "ip",
            },
        },
        {
            "name": "notes",
            "fields": { "team": "text" },
            "access": { "read": { "team": "$auth.company" } },
        },
    ])
}

pub(crate) fn catalog_of(declarations: Json) -> Arc<Catalog> {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(declarations).unwrap();
    Arc::new(Catalog::compile(&declarations, &[]).unwrap())
}

/// Runs once, after something was read and before it is given back.
type Interruption = Box<dyn FnOnce() + Send>;

/// Documents in memory, held to the rules.
pub(crate) struct Fake {
    pub catalog: Arc<Catalog>,
    clock: Arc<Hands>,
    random: Arc<Dice>,
    passwords: OnceLock<Arc<dyn Passwords>>,
    observers: OnceLock<Vec<Arc<dyn Observer>>>,
    documents: Mutex<Vec<(CollectionId, Document)>>,
    /// How often documents were looked for.
    pub finds: AtomicI64,
    pub interruption: Mutex<Option<Interruption>>,
}

impl Fake {
    /// All documents of a collection, in the order in which they came.
    pub fn all(&self, name: &str) -> Vec<Document> {
        let place = self.catalog.named(name).unwrap().id;
        let documents = self.documents.lock().unwrap();
        let found = documents
            .iter()
            .filter(|(collection, _)| *collection == place);
        found.map(|(_, document)| document.clone()).collect()
    }

    /// The value of a field of a document.
    pub fn value(&self, collection: &str, document: &Document, field: &str) -> Value {
        let collection = self.catalog.named(collection).unwrap();
        document
            .value(collection.field_named(field).unwrap().0)
            .clone()
    }

    /// Changes all documents of a collection, as some other commit would.
    pub fn set_all(&self, name: &str, field: &str, value: &Value) {
        let collection = self.catalog.named(name).unwrap();
        let index = collection.field_named(field).unwrap().0;
        let mut touched = Vec::new();
        for (place, document) in &mut *self.documents.lock().unwrap() {
            if *place == collection.id {
                let before = document.clone();
                document.set(index, value.clone());
                document.set_revision(document.revision().next(0));
                touched.push(touch(*place, Some(before), Some(document.clone())));
            }
        }
        self.tell(&touched);
    }

    fn tell(&self, touched: &[Arc<Touched>]) {
        for observer in self.observers.get().into_iter().flatten() {
            let seen = touched
                .iter()
                .filter(|touched| observer.observes(touched.collection));
            let seen: Vec<Arc<Touched>> = seen.cloned().collect();
            if !seen.is_empty() {
                observer.committed(&seen);
            }
        }
    }

    /// Refuses what people must not choose.
    fn check_passwords(&self, caller: &Caller, operations: &[Operation]) -> Result<()> {
        for operation in operations.iter().filter(|_| *caller != Caller::Server) {
            let Operation::Create { document, .. } = operation else {
                continue;
            };
            for value in document.values() {
                if let Value::Secret(password) = value
                    && let Some((code, message)) = self.passwords.get().unwrap().refusal(password)
                {
                    let violation = Violation::new("/password", code, message);
                    return Err(Error::Invalid(vec![violation]));
                }
            }
        }
        Ok(())
    }

    async fn hashed(&self, operations: &mut [Operation]) -> Result<()> {
        let passwords = self.passwords.get().unwrap();
        for operation in operations {
            let mut values: Vec<&mut Value> = match operation {
                Operation::Create { document, .. } => {
                    // Only one field of the accounts is a password.
                    let secret = |value: &Value| matches!(value, Value::Secret(_));
                    let at = document.values().iter().position(secret);
                    at.and_then(|at| document.value_mut(at))
                        .into_iter()
                        .collect()
                }
                Operation::Update { change, .. } => {
                    let steps = change.steps.iter_mut();
                    steps
                        .filter_map(|step| match &mut step.action {
                            Action::Set(value) => Some(value),
                            _ => None,
                        })
                        .collect()
                }
                Operation::Delete { .. } => Vec::new(),
            };
            for value in &mut values {
                if let Value::Secret(password) = value {
                    **value = Value::Text(passwords.hash(password.clone()).await?);
                }
            }
        }
        Ok(())
    }

    fn permit(&self, caller: &Caller, operation: &Operation) -> Result<Permit> {
        let collection = self.catalog.get(operation.collection());
        let now = self.clock.now();
        match operation {
            Operation::Create { document, .. } => collection.permit_create(caller, now, document),
            Operation::Update { change, .. } => {
                let changed: Vec<usize> = change.fields().collect();
                collection.permit_update(caller, now, |field| changed.contains(&field))
            }
            Operation::Delete { .. } => collection.permit_delete(caller, now),
        }
    }

    fn apply(
        &self,
        documents: &mut Vec<(CollectionId, Document)>,
        touched: &mut Vec<Arc<Touched>>,
        operation: Operation,
        permit: &Permit,
    ) -> Result<Outcome> {
        let collection = Arc::clone(self.catalog.get(operation.collection()));
        let place = collection.id;
        match operation {
            Operation::Create { mut document, .. } => {
                let now = self.clock.now();
                let id = || new_id(&*self.clock, &*self.random);
                collection.complete(&mut document, now, None, id)?;
                check(&collection, permit, &document)?;
                unique(&collection, documents, &document)?;
                document.set_revision(Revision::new(1));
                documents.push((place, document.clone()));
                touched.push(touch(place, None, Some(document.clone())));
                Ok(Outcome::Created(document))
            }
            Operation::Update { target, change, .. } => {
                let by_id = matches!(target, Target::One { .. });
                let (mut matched, mut modified, mut last) = (0, 0, None);
                for at in find(documents, &collection, &target)? {
                    let mut document = documents[at].1.clone();
                    let before = document.clone();
                    change
                        .apply(&mut document, &collection, self.clock.now())
                        .map_err(Error::Invalid)?;
                    check(&collection, permit, &document)?;
                    matched += 1;
                    if document != before {
                        modified += 1;
                        document.set_revision(before.revision().next(0));
                        documents[at].1 = document.clone();
                        touched.push(touch(place, Some(before), Some(document.clone())));
                    }
                    last = Some(document);
                }
                Ok(match last {
                    Some(document) if by_id => Outcome::Updated(document),
                    _ => Outcome::Changed { matched, modified },
                })
            }
            Operation::Delete { target, .. } => {
                let found = find(documents, &collection, &target)?;
                for at in found.iter().rev() {
                    let (_, document) = documents.remove(*at);
                    touched.push(touch(place, Some(document), None));
                }
                Ok(Outcome::Removed(found.len() as u64))
            }
        }
    }
}

fn touch(
    collection: CollectionId,
    before: Option<Document>,
    after: Option<Document>,
) -> Arc<Touched> {
    Arc::new(Touched {
        collection,
        before,
        after,
    })
}

fn check(collection: &Collection, permit: &Permit, document: &Document) -> Result<()> {
    let fields = collection.fields();
    if !permit.after.matches(document, fields, &()) {
        return Err(Error::forbidden("by a rule"));
    }
    match permit
        .fields
        .iter()
        .find(|field| !field.condition.matches(document, fields, &()))
    {
        None => Ok(()),
        Some(field) => Err(Error::Forbidden {
            code: "field_not_writable",
            detail: fields[field.field].name.clone(),
        }),
    }
}

fn unique(
    collection: &Collection,
    documents: &[(CollectionId, Document)],
    document: &Document,
) -> Result<()> {
    for (index, field) in collection
        .declared_fields()
        .filter(|(_, field)| field.unique)
    {
        let taken = |(place, other): &(CollectionId, Document)| {
            *place == collection.id && other.value(index) == document.value(index)
        };
        if documents.iter().any(taken) {
            return Err(Error::Conflict {
                code: "duplicate",
                detail: "another document has this value".into(),
                errors: vec![Violation::new(
                    format!("/{}", field.name),
                    "duplicate",
                    "is taken",
                )],
            });
        }
    }
    Ok(())
}

fn find(
    documents: &[(CollectionId, Document)],
    collection: &Collection,
    target: &Target,
) -> Result<Vec<usize>> {
    let all = documents.iter().enumerate();
    let mut own = all.filter(|(_, (place, _))| *place == collection.id);
    match target {
        Target::Matching(filter) => Ok(own
            .filter(|(_, (_, document))| filter.matches(document, collection.fields(), &()))
            .map(|(at, _)| at)
            .collect()),
        Target::One { id, guard } => {
            let found = own.find(|(_, (_, document))| document.id() == Some(*id));
            let (at, (_, document)) = found.ok_or_else(|| Error::no_document(&collection.name))?;
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

#[async_trait]
impl Store for Fake {
    async fn write_with(
        &self,
        caller: &Caller,
        mut operations: Vec<Operation>,
        own: Vec<Operation>,
    ) -> Result<Vec<Outcome>> {
        let asked = operations.len();
        let mut permits = Vec::new();
        for operation in &operations {
            permits.push(self.permit(caller, operation)?);
        }
        operations.extend(own);
        permits.resize_with(operations.len(), Permit::everything);
        let several = operations.len() > 1;
        self.check_passwords(caller, &operations[..asked])?;
        self.hashed(&mut operations).await?;
        let mut touched = Vec::new();
        let outcomes: Result<Vec<Outcome>> = {
            let mut documents = self.documents.lock().unwrap();
            let mut copy = documents.clone();
            let outcomes = operations.into_iter().zip(&permits).enumerate();
            let outcomes = outcomes.map(|(index, (operation, permit))| {
                self.apply(&mut copy, &mut touched, operation, permit)
                    .map_err(|error| match several {
                        true => error.nested(&format!("/{index}")),
                        false => error,
                    })
            });
            let outcomes = outcomes.collect();
            if Result::is_ok(&outcomes) {
                *documents = copy;
            }
            outcomes
        };
        let mut outcomes = outcomes?;
        self.tell(&touched);
        outcomes.truncate(asked);
        Ok(outcomes)
    }

    async fn write_each(&self, _: &Caller, _: Vec<Operation>, _: Sequence) -> Vec<Result<Outcome>> {
        unreachable!("the module writes transactions")
    }

    async fn get(
        &self,
        caller: &Caller,
        collection: CollectionId,
        id: Id,
    ) -> Result<Option<Stored<Body>>> {
        let collection = self.catalog.get(collection);
        let view: View = collection.view_for(caller, self.clock.now())?;
        let documents = self.documents.lock().unwrap();
        let found = documents.iter().find(|(place, document)| {
            *place == collection.id
                && document.id() == Some(id)
                && view.condition.matches(document, collection.fields(), &())
        });
        Ok(found.map(|(_, document)| {
            let mut document = document.clone();
            for mask in &view.masks {
                if !mask.shown.matches(&document, collection.fields(), &()) {
                    document.set(mask.field, Value::Null);
                }
            }
            let mut json = Vec::new();
            document.write_json(collection, &mut json);
            let body = Body {
                json: json.into(),
                revision: document.revision(),
            };
            Stored::truth(body, "there is nothing else here")
        }))
    }

    async fn list_at_once(&self, _: &Caller, _: Query) -> Result<Stored<Page>> {
        unreachable!("the module asks for documents")
    }

    async fn list(
        &self,
        caller: &Caller,
        query: Query,
        expand: &[Expansion],
    ) -> Result<Stored<Page>> {
        assert!(expand.is_empty());
        let collection = self.catalog.get(query.collection);
        let fields = query.fields.clone().unwrap();
        let found = self.find(caller, query).await?;
        assert!(found.len() <= 1, "one document is looked up at a time");
        let mut json = Vec::new();
        for document in &found {
            document.write_fields(collection, &fields, &mut json);
        }
        let page = Page {
            documents: json.into(),
            count: u32::try_from(found.len()).unwrap(),
            next: None,
        };
        Ok(Stored::truth(page, "there is nothing else"))
    }

    async fn find(&self, caller: &Caller, query: Query) -> Result<Vec<Document>> {
        assert_eq!(*caller, Caller::Server);
        self.finds.fetch_add(1, Ordering::Relaxed);
        let collection = self.catalog.get(query.collection);
        let mut found: Vec<Document> = {
            let documents = self.documents.lock().unwrap();
            let places = find(&documents, collection, &Target::Matching(query.filter))?;
            places
                .into_iter()
                .map(|at| documents[at].1.clone())
                .collect()
        };
        found.reverse();
        found.truncate(query.limit as usize);
        let interruption = self.interruption.lock().unwrap().take();
        if let Some(interrupt) = interruption {
            interrupt();
        }
        Ok(found)
    }

    async fn count(&self, _: &Caller, _: CollectionId, _: Expr) -> Result<u64> {
        unreachable!("the module counts nothing")
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}

/// The module over a fake store, and what a server does around it.
pub(crate) struct Server {
    pub store: Arc<Fake>,
    pub clock: Arc<Hands>,
    pub auth: Auth,
    pub sessions: Arc<dyn Sessions>,
    pub openapi: Vec<Json>,
    route: Route,
    /// Holds the secret.
    _folder: tempfile::TempDir,
}

/// Settings under which a test does not wait for hashes.
pub(crate) fn quick() -> Json {
    json!({ "passwords": { "memory_kib": 64, "iterations": 1 } })
}

/// The module as it has been set up, and what it was given.
pub(crate) struct SetUp {
    pub auth: Auth,
    pub contribution: Contribution,
    pub store: Arc<Fake>,
    pub clock: Arc<Hands>,
    pub folder: tempfile::TempDir,
}

/// Sets the module up: with the built-in settings but for these.
pub(crate) fn set_up(catalog: &Arc<Catalog>, settings: Json) -> Result<SetUp, SetupError> {
    set_up_among(catalog, settings, None)
}

/// The same where other instances may write too, which hear of it on this bus.
fn set_up_among(
    catalog: &Arc<Catalog>,
    settings: Json,
    others: Option<Arc<dyn Bus>>,
) -> Result<SetUp, SetupError> {
    let (clock, random) = (Arc::new(Hands::default()), Arc::new(Dice::default()));
    let store = Arc::new(Fake {
        catalog: Arc::clone(catalog),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
        passwords: OnceLock::new(),
        observers: OnceLock::new(),
        documents: Mutex::default(),
        finds: AtomicI64::new(0),
        interruption: Mutex::default(),
    });
    let folder = tempfile::tempdir().unwrap();
    let context = Context {
        settings,
        data: folder.path().to_owned(),
        catalog: Arc::clone(catalog),
        store: Arc::clone(&store) as Arc<dyn Store>,
        is_sole_writer: others.is_none(),
        bus: others.unwrap_or_else(|| Arc::new(nubo_core::bus::NoBus)),
        sessions: Arc::new(nubo_core::sessions::NoSessions),
        buckets: Arc::new(nubo_core::throttle::LocalBuckets::new(100, clock.clone())),
        origins: Vec::new(),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        random: random as Arc<dyn Random>,
        document: Arc::new(OnceLock::new()),
        about: nubo_core::module::About::default(),
    };
    let mut auth = Auth::new();
    let contribution = auth.setup(&context)?;
    assert!(store.passwords.set(auth.passwords()).is_ok());
    assert!(store.observers.set(contribution.observers.clone()).is_ok());
    Ok(SetUp {
        auth,
        contribution,
        store,
        clock,
        folder,
    })
}

impl Server {
    pub async fn new() -> Self {
        Self::with(quick()).await
    }

    pub async fn with(settings: Json) -> Self {
        Self::over(&catalog_of(declarations()), settings).await
    }

    /// With these collections.
    pub async fn over(catalog: &Arc<Catalog>, settings: Json) -> Self {
        Self::of(set_up(catalog, settings).unwrap()).await
    }

    /// Among other instances.
    pub async fn among(others: Arc<dyn Bus>) -> Self {
        let catalog = catalog_of(declarations());
        Self::of(set_up_among(&catalog, quick(), Some(others)).unwrap()).await
    }

    async fn of(set_up: SetUp) -> Self {
        set_up.auth.start().await.unwrap();
        let routes = set_up.contribution.routes.into_iter();
        Self {
            store: set_up.store,
            clock: set_up.clock,
            auth: set_up.auth,
            sessions: set_up.contribution.sessions.unwrap(),
            openapi: set_up.contribution.openapi,
            route: routes.fold(Route::new(), |all, route| {
                all.at(route.path, route.endpoint)
            }),
            _folder: set_up.folder,
        }
    }

    /// Sends a request, as the server passes it on.
    pub async fn send(&self, method: &str, path: &str, token: &str, body: Option<Json>) -> Answer {
        let mut request = Request::builder()
            .method(method.parse().unwrap())
            .uri_str(path);
        request = request.header("user-agent", "test/1");
        let request = match body {
            None => request.finish(),
            Some(body) => {
                let body = body.to_string();
                request
                    .header("content-type", "application/json")
                    .header("content-length", body.len())
                    .body(body)
            }
        };
        self.pass_on(request, token).await
    }

    /// Passes a request on with what the server finds out about it.
    pub async fn pass_on(&self, mut request: Request, token: &str) -> Answer {
        if !token.is_empty() {
            let identity = match self.sessions.authenticate(token).await {
                Ok(signed_in) => Identity::SignedIn(signed_in),
                Err(Error::Unauthorized { code, detail }) => Identity::Refused(code, detail),
                Err(other) => panic!("{other}"),
            };
            request.set_data(identity);
        }
        request.set_data(ClientAddress(IpAddr::from([10, 0, 0, 1])));
        Answer::of(self.route.get_response(request).await).await
    }

    pub async fn post(&self, path: &str, body: Json) -> Answer {
        self.send("POST", path, "", Some(body)).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send("GET", path, token, None).await
    }

    /// Signs somebody up.
    pub async fn sign_up(&self, name: &str) -> Answer {
        let answer = self.post("/signup", account(name)).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        answer
    }

    pub async fn log_in(&self, name: &str, password: &str) -> Answer {
        self.post(
            "/login",
            json!({ "identifier": name, "password": password }),
        )
        .await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/refresh", json!({ "refresh_token": token }))
            .await
    }
}

pub(crate) const PASSWORD: &str = "correct horse battery";

/// What somebody sends who signs up.
pub(crate) fn account(name: &str) -> Json {
    json!({
        "username": name,
        "email": format!("{name}@example.org"),
        "password": PASSWORD,
        "first_name": name,
    })
}

/// An answer, read.
pub(crate) struct Answer {
    pub status: u16,
    headers: poem::http::HeaderMap,
    body: Vec<u8>,
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

    pub fn text(&self, key: &str) -> String {
        self.json()[key].as_str().unwrap_or_default().to_owned()
    }

    pub fn code(&self) -> String {
        self.text("code")
    }

    pub fn access(&self) -> String {
        self.text("access_token")
    }

    pub fn refresh(&self) -> String {
        self.text("refresh_token")
    }

    /// Places and codes of the errors.
    pub fn errors(&self) -> Vec<(String, String)> {
        let json = self.json();
        let errors = json["errors"].as_array().into_iter().flatten();
        let text = |json: &Json| json.as_str().unwrap().to_owned();
        errors
            .map(|error| (text(&error["path"]), text(&error["code"])))
            .collect()
    }
}
