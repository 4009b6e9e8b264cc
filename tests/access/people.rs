//! The server that all these tests share, and people who use it.

use std::{
    fs,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{
    command_line::{done, make_root, pipe},
    server::{Answer, Request, Server, Site, text},
};

pub const PASSWORD: &str = "correct horse battery";

/// Hashes that take no time, and no limit to sign-ups.
const SETTINGS: &str = "
auth:
  passwords: { memory_kib: 64, iterations: 1 }
  throttle: { enabled: false }
";

/// An entry of the audit log, which nobody can create through the API.
pub const AUDIT_ENTRY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The server, with the collections that ship and those of these tests, and who is there from the
/// beginning.
pub struct Stage {
    server: Server,
    pub admin: Person,
    pub moderator: Person,
    /// Another moderator.
    pub colleague: Person,
    /// Whom every owner has blocked, so that a block of one is seen to concern nobody else.
    pub pest: Person,
}

/// The one stage of this run.
pub fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let site = Site::with_folder("collections");
        let more = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/access/collections");
        for entry in fs::read_dir(more).expect("more collections") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a file");
            fs::copy(&path, site.path("collections").join(name)).expect("a copy");
        }
        site.file("nubo.yaml", SETTINGS);
        make_root(&site, PASSWORD);
        let entry = json!({ "id": AUDIT_ENTRY, "action": "update", "collection": "posts" });
        site.file("audit.ndjson", &format!("{entry}\n"));
        let import = ["import", "audit.ndjson", "--collection", "audit_logs"];
        done(&pipe(&site, &import, ""));
        let server = site.start().shared();
        let admin = Person::sign_in(&server, "root");
        let moderator = || {
            let person = Person::sign_up_at(&server, &[]);
            let roles = json!({ "roles": ["user", "moderator"] });
            let path = format!("/users/{}", person.id());
            let request = server.request("PATCH", &path).json(&roles);
            admin.signed(request).send().expect(200);
            // What it may do is known at the next sign-in at the latest.
            Person::sign_in(&server, &person.name)
        };
        let (moderator, colleague) = (moderator(), moderator());
        Stage {
            admin,
            moderator,
            colleague,
            pest: Person::sign_up_at(&server, &[]),
            server,
        }
    })
}

/// A number that nobody else in this run gets.
pub fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An id that nobody else in this run gets.
pub fn fresh_id() -> String {
    let name = format!("{}/{}", std::process::id(), number());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

/// A new account as `POST /signup` takes it, with these fields on top.
pub fn application(extra: &[(&str, Json)]) -> Json {
    let number = number();
    let mut application = json!({
        "username": format!("person-{number}"),
        "email": format!("person-{number}@example.org"),
        "password": PASSWORD,
        "first_name": "Ada",
        "last_name": "Byron",
        "bio": "writes letters",
        "phone": format!("+49 30 {number}"),
        "birthdate": "1990-12-10",
    });
    for (field, value) in extra {
        application[*field] = value.clone();
    }
    application
}

/// Somebody who talks to the server, with an account or without.
#[derive(Clone)]
pub struct Person {
    pub name: String,
    account: Option<Account>,
}

#[derive(Clone)]
struct Account {
    id: String,
    token: String,
}

impl Person {
    /// Without an account.
    pub fn anonymous() -> Self {
        Self {
            name: String::new(),
            account: None,
        }
    }

    /// With a new account.
    #[track_caller]
    pub fn sign_up() -> Self {
        Self::sign_up_with(&[])
    }

    /// The same with these fields.
    #[track_caller]
    pub fn sign_up_with(extra: &[(&str, Json)]) -> Self {
        Self::sign_up_at(&stage().server, extra)
    }

    #[track_caller]
    fn sign_up_at(server: &Server, extra: &[(&str, Json)]) -> Self {
        Self::of(&server.post("/signup", &application(extra)).expect(201))
    }

    #[track_caller]
    fn sign_in(server: &Server, name: &str) -> Self {
        let credentials = json!({ "identifier": name, "password": PASSWORD });
        Self::of(&server.post("/login", &credentials).expect(200))
    }

    /// Who an answer to a sign-up or sign-in is about.
    #[track_caller]
    pub fn of(answer: &Json) -> Self {
        let account = Account {
            id: text(&answer["user"]["id"]),
            token: text(&answer["access_token"]),
        };
        Self {
            name: text(&answer["user"]["username"]),
            account: Some(account),
        }
    }

    pub fn has_account(&self) -> bool {
        self.account.is_some()
    }

    /// The id of the account; for nobody, an id of nobody.
    pub fn id(&self) -> String {
        self.account
            .as_ref()
            .map_or_else(fresh_id, |account| account.id.clone())
    }

    fn signed<'a>(&self, request: Request<'a>) -> Request<'a> {
        match &self.account {
            Some(account) => request.header("authorization", &format!("Bearer {}", account.token)),
            None => request,
        }
    }

    pub fn request(&self, method: &str, path: &str) -> Request<'static> {
        self.signed(stage().server.request(method, path))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Json) -> Answer {
        self.request("POST", path).json(body).send()
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: &Json) -> Answer {
        self.request("PATCH", path).json(body).send()
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Json) -> Answer {
        self.request("PUT", path).json(body).send()
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send()
    }

    /// A request for a list.
    #[track_caller]
    pub fn ask(&self, collection: &str, query: &[(&str, &str)]) -> Answer {
        self.request("GET", &format!("/{collection}"))
            .query(query)
            .send()
    }

    /// The documents that match, of those that this person sees.
    #[track_caller]
    pub fn find(&self, collection: &str, filter: &Json) -> Vec<Json> {
        let answer = self
            .ask(collection, &[("filter", &filter.to_string())])
            .expect(200);
        answer["data"].as_array().expect("a list has data").clone()
    }

    /// A document that this person can read.
    #[track_caller]
    pub fn read(&self, collection: &str, id: &str) -> Json {
        self.get(&format!("/{collection}/{id}")).expect(200)
    }

    /// The id of a new document.
    #[track_caller]
    pub fn create(&self, collection: &str, document: &Json) -> String {
        text(&self.post(&format!("/{collection}"), document).expect(201)["id"])
    }

    #[track_caller]
    pub fn update(&self, collection: &str, id: &str, change: &Json) -> Json {
        self.patch(&format!("/{collection}/{id}"), change)
            .expect(200)
    }

    /// Says something about another account, or changes what it has said. Nobody says nothing, and
    /// nothing is said of nobody.
    #[track_caller]
    pub fn says(&self, state: &str, other: &Self) {
        if !self.has_account() || !other.has_account() {
            return;
        }
        let said = json!({ "primary_id": self.id(), "secondary_id": other.id() });
        match self.find("relations", &said).first() {
            Some(said) => {
                self.update("relations", &text(&said["id"]), &json!({ "state": state }));
            }
            None => {
                let about = json!({ "secondary_id": other.id(), "state": state });
                self.create("relations", &about);
            }
        }
    }

    /// The id of this person's settings.
    #[track_caller]
    pub fn settings(&self) -> String {
        text(&self.find("user_settings", &json!({ "user_id": self.id() }))[0]["id"])
    }

    /// Sets who may do what: `posts`, `messages` or `profile` to `public`, `friends` or `private`.
    #[track_caller]
    pub fn prefers(&self, what: &str, whom: &str) {
        let change = json!({ "privacy": { what: whom } });
        self.update("user_settings", &self.settings(), &change);
    }
}
