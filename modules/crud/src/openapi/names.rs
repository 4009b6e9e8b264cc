//! What collections are called in operation ids and schemas.

use std::collections::HashSet;

use nubo_core::schema::Catalog;

/// Names that are in the document whatever the collections are.
const TAKEN: [&str; 23] = [
    "batch",
    "signUp",
    "logIn",
    "refresh",
    "logOut",
    "getMe",
    "updateMe",
    "deleteMe",
    "changePassword",
    "listMySessions",
    "endMySession",
    "issueTestToken",
    "Me",
    "MySession",
    "SignedIn",
    "ping",
    "health",
    "ready",
    "Pong",
    "Health",
    "Ready",
    "Problem",
    "Violation",
];

/// Schemas of one collection, by what follows its name.
const SUFFIXES: [&str; 13] = [
    "",
    "Create",
    "Replace",
    "Update",
    "Merge",
    "Operators",
    "Selection",
    "List",
    "Page",
    "Filter",
    "Query",
    "BulkOperation",
    "BulkResult",
];

/// The words that stand for a collection: `Post` and `Posts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// One document.
    pub one: String,
    /// Many documents.
    pub many: String,
}

impl Names {
    /// Names for all collections, such that no schema and no operation has the name of another.
    pub fn of_all(catalog: &Catalog) -> Vec<Self> {
        let mut taken: HashSet<String> = TAKEN.map(str::to_owned).into();
        taken.extend(super::shared::SCHEMAS.map(str::to_owned));
        taken.extend(super::filters::CONDITIONS.map(str::to_owned));
        let name = |collection: &nubo_core::schema::Collection| {
            let (one, many) = (pascal(&collection.singular), pascal(&collection.name));
            let numbered = (2..).map(|number| Self {
                one: format!("{many}{number}"),
                many: format!("{many}{number}"),
            });
            let wanted = [
                Self {
                    one,
                    many: many.clone(),
                },
                Self {
                    one: many.clone(),
                    many: many.clone(),
                },
            ];
            let found = wanted
                .into_iter()
                .chain(numbered)
                .find(|names| names.all().iter().all(|name| !taken.contains(name)));
            // The numbers have no end.
            let names = found.unwrap_or_default();
            taken.extend(names.all());
            names
        };
        let collections = catalog.collections().iter();
        collections
            .map(|collection| &**collection)
            .map(name)
            .collect()
    }

    /// The id of an operation on one document: `getPost`.
    pub fn on_one(&self, verb: &str) -> String {
        format!("{verb}{}", self.one)
    }

    /// The id of an operation on many documents: `listPosts`.
    pub fn on_many(&self, verb: &str) -> String {
        if self.one == self.many && matches!(verb, "update" | "delete") {
            return format!("{verb}Many{}", self.many);
        }
        format!("{verb}{}", self.many)
    }

    /// The name of a schema: `PostCreate`.
    pub fn schema(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.one)
    }

    /// Every name that the document has because of this collection.
    fn all(&self) -> Vec<String> {
        let one = ["create", "get", "head", "update", "replace", "delete"];
        let many = ["list", "query", "count", "update", "delete", "bulk"];
        let schemas = SUFFIXES.map(|suffix| self.schema(suffix));
        schemas
            .into_iter()
            .chain(one.map(|verb| self.on_one(verb)))
            .chain(many.map(|verb| self.on_many(verb)))
            .collect()
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            one: "Document".into(),
            many: "Documents".into(),
        }
    }
}

/// `conversation_members` → `ConversationMembers`.
fn pascal(name: &str) -> String {
    let mut upper = true;
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '_' | '-' | ' ' => upper = true,
            letter if upper => {
                out.extend(letter.to_uppercase());
                upper = false;
            }
            letter => out.push(letter),
        }
    }
    out
}
