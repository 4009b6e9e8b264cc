//! A hook: every write passes here before it goes to the truth. It may refuse the write, change it,
//! or add to it; what it adds is in the same transaction, so that both happen or neither does.

use async_trait::async_trait;
use nubo::core::{
    Error, Result, Violation,
    change::Action,
    document::Document,
    hook::Hook,
    module::SetupError,
    schema::{Catalog, CollectionId},
    value::Value,
    write::{Operation, Transaction},
};

/// Keeps words out of posts, takes white space off their ends, and notes each new post in the audit
/// log.
pub struct HouseRules {
    banned: Vec<String>,
    posts: CollectionId,
    /// Fields are known by their index.
    content: usize,
    log: AuditLog,
}

struct AuditLog {
    collection: CollectionId,
    action: usize,
    in_collection: usize,
    document_id: usize,
}

impl HouseRules {
    /// Looks up, once, the collections and fields that the hook is about. Without them the server
    /// does not start.
    pub fn new(catalog: &Catalog, banned_words: &[String]) -> Result<Self, SetupError> {
        let field = |collection: &str, name: &str| {
            let missing = || SetupError::new(format!("manners needs {collection}.{name}"));
            let found = catalog.named(collection).ok_or_else(missing)?;
            let (index, _) = found.field_named(name).ok_or_else(missing)?;
            Ok::<_, SetupError>((found.id, index))
        };
        let (posts, content) = field("posts", "content")?;
        let (collection, action) = field("audit_logs", "action")?;
        Ok(Self {
            banned: banned_words
                .iter()
                .map(|word| word.to_lowercase())
                .collect(),
            posts,
            content,
            log: AuditLog {
                collection,
                action,
                in_collection: field("audit_logs", "collection")?.1,
                document_id: field("audit_logs", "document_id")?.1,
            },
        })
    }

    /// What is wrong with a text, where it stands.
    fn check(&self, text: &str, path: String) -> Option<Violation> {
        let text = text.to_lowercase();
        let word = self
            .banned
            .iter()
            .find(|word| text.contains(word.as_str()))?;
        let message = format!("must not contain the word `{word}`");
        Some(Violation::new(path, "banned_word", message))
    }

    fn entry(&self, catalog: &Catalog, post: &Document) -> Operation {
        let mut entry = Document::empty(catalog.get(self.log.collection));
        entry.set(self.log.action, Value::Text("post".into()));
        entry.set(self.log.in_collection, Value::Text("posts".into()));
        let id = post.id().map_or(Value::Null, |id| Value::Uuid(id.uuid()));
        entry.set(self.log.document_id, id);
        // Its own id and times are given by the store.
        Operation::Create {
            collection: self.log.collection,
            document: entry,
        }
    }
}

#[async_trait]
impl Hook for HouseRules {
    async fn before_write(&self, transaction: &mut Transaction, catalog: &Catalog) -> Result<()> {
        let mut violations = Vec::new();
        let mut entries = Vec::new();
        // In a transaction of several, places begin with the operation's number.
        let several = transaction.operations.len() > 1;
        for (index, operation) in transaction.operations.iter_mut().enumerate() {
            let place = match several {
                true => format!("/{index}"),
                false => String::new(),
            };
            match operation {
                Operation::Create {
                    collection,
                    document,
                } if *collection == self.posts => {
                    if let Some(Value::Text(text)) = document.value_mut(self.content) {
                        *text = text.trim().to_owned();
                        violations.extend(self.check(text, format!("{place}/content")));
                    }
                    entries.push(self.entry(catalog, document));
                }
                // Whoever may not write a word may not edit it in either.
                Operation::Update {
                    collection, change, ..
                } if *collection == self.posts => {
                    for step in &mut change.steps {
                        if let (Some(field), Action::Set(Value::Text(text))) =
                            (step.path.whole_field(), &mut step.action)
                            && field == self.content
                        {
                            *text = text.trim().to_owned();
                            violations.extend(self.check(text, format!("{place}{}", step.pointer)));
                        }
                    }
                }
                _ => {}
            }
        }
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        transaction.operations.extend(entries);
        Ok(())
    }
}
