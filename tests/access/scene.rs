//! The situation of one cell: fresh people, and one of them who tries something.

use std::{cell::RefCell, collections::HashMap};

use serde_json::{Value as Json, json};

use crate::{
    people::{Person, stage},
    server::text,
};

/// People by what they are called in the tables. They come into being when they are first asked for,
/// with what they and the owner have said of each other.
pub struct Scene {
    collection: String,
    /// What the person is called who tries something.
    pub who: String,
    people: RefCell<HashMap<String, Person>>,
}

impl Scene {
    pub fn of(collection: &str, who: &str) -> Self {
        Self {
            collection: collection.to_owned(),
            who: who.to_owned(),
            people: RefCell::default(),
        }
    }

    /// Gives a part to somebody who is there already.
    pub fn cast(&self, part: &str, person: Person) {
        self.people.borrow_mut().insert(part.to_owned(), person);
    }

    /// Who tries something.
    pub fn me(&self) -> Person {
        self.person(&self.who)
    }

    pub fn owner(&self) -> Person {
        self.person("owner")
    }

    pub fn person(&self, part: &str) -> Person {
        if let Some(person) = self.people.borrow().get(part) {
            return person.clone();
        }
        let person = match part {
            "anonymous" => Person::anonymous(),
            "moderator" => stage().moderator.clone(),
            "admin" => stage().admin.clone(),
            _ => Person::sign_up(),
        };
        self.cast(part, person.clone());
        match part {
            "friend" | "commenter" | "liker" => self.owner().says("friend", &person),
            "owner" => person.says("blocked", &stage().pest),
            "follower" => {
                person.says("following", &self.owner());
                self.owner().says("following", &person);
            }
            "admirer" => person.says("friend", &self.owner()),
            "blocked" => self.owner().says("blocked", &person),
            "blocker" => person.says("blocked", &self.owner()),
            _ => {}
        }
        person
    }

    fn path(&self, id: &str) -> String {
        format!("/{}/{id}", self.collection)
    }

    /// The answer to reading a document.
    pub fn read(&self, id: &str) -> String {
        self.me().get(&self.path(id)).status.to_string()
    }

    /// Whether a document is in lists, in queries and in counts, which must agree.
    pub fn list(&self, id: &str) -> String {
        let (me, collection) = (self.me(), &self.collection);
        let filter = json!({ "id": id });
        let text = filter.to_string();
        let query = [("filter", &*text)];
        let list = me.ask(collection, &query);
        let asked = me.post(
            &format!("/{collection}/query"),
            &json!({ "filter": filter }),
        );
        let counted = me
            .request("GET", &format!("/{collection}/count"))
            .query(&query)
            .send();
        let statuses = [list.status, asked.status, counted.status];
        if statuses != [200; 3] {
            return match statuses.iter().all(|status| *status == list.status) {
                true => list.status.to_string(),
                false => format!("list, query and count: {statuses:?}"),
            };
        }
        let number = |list: &Json| list["data"].as_array().map(Vec::len).unwrap_or_default();
        let counted = counted.json()["count"].as_u64();
        match (number(&list.json()), number(&asked.json()), counted) {
            (0, 0, Some(0)) => "unseen".into(),
            (1, 1, Some(1)) => "seen".into(),
            numbers => format!("list, query and count: {numbers:?}"),
        }
    }

    /// Tries a row that begins with `read` or `list`, where the rest of it says of what.
    pub fn looks(&self, action: &str, find: impl Fn(&str) -> Option<String>) -> Option<String> {
        let (verb, what) = action.split_once(' ').unwrap_or((action, ""));
        // Whoever looks is somebody before there is something to see.
        self.me();
        match verb {
            "read" => Some(self.read(&find(what)?)),
            "list" => Some(self.list(&find(what)?)),
            _ => None,
        }
    }

    /// Whether all of these fields have values in a document, or none of them.
    pub fn see(&self, id: &str, fields: &[&str]) -> String {
        let answer = self.me().get(&self.path(id));
        if answer.status != 200 {
            return answer.status.to_string();
        }
        let document = answer.json();
        let shown = fields.iter().filter(|field| {
            let value = document.get(**field);
            !value.expect("a field is there, if only as null").is_null()
        });
        match shown.count() {
            0 => "null".into(),
            all if all == fields.len() => "shown".into(),
            some => format!("{some} of {} shown: {document}", fields.len()),
        }
    }

    /// The answer to creating a document. What is created is what was asked for.
    pub fn create(&self, document: &Json) -> String {
        let answer = self.me().post(&format!("/{}", self.collection), document);
        answer.status.to_string()
    }

    /// The answer to changing a document.
    pub fn update(&self, id: &str, change: &Json) -> String {
        self.me().patch(&self.path(id), change).status.to_string()
    }

    /// The answer to replacing a document.
    pub fn replace(&self, id: &str, document: &Json) -> String {
        self.me().put(&self.path(id), document).status.to_string()
    }

    /// The answer to deleting a document. Afterwards it is gone if it was deleted.
    pub fn delete(&self, id: &str) -> String {
        let status = self.me().delete(&self.path(id)).status;
        if status == 204 {
            self.me().get(&self.path(id)).expect(404);
        }
        status.to_string()
    }

    /// The answer to giving a document of the owner's away, or to making it one's own.
    pub fn take_over(&self, id: &str, field: &str) -> String {
        self.take_over_from("owner", id, field)
    }

    /// The same with a document of somebody else.
    pub fn take_over_from(&self, part: &str, id: &str, field: &str) -> String {
        let me = self.me();
        let new = match self.who == part || !me.has_account() {
            true => self.person("heir").id(),
            false => me.id(),
        };
        self.update(id, &json!({ field: new }))
    }

    /// Somebody follows the one who tries something.
    pub fn part_follows_me(&self, part: &str) {
        if part != self.who {
            self.person(part).says("following", &self.me());
        }
    }

    /// A post of the owner with a visibility.
    pub fn post(&self, visibility: &str) -> String {
        let post = json!({ "content": "Dear diary", "visibility": visibility });
        self.owner().create("posts", &post)
    }

    /// A comment on a post, as somebody could write it who may.
    pub fn comment(&self, part: &str, post: &str) -> String {
        let comment = json!({ "post_id": post, "content": "Well said" });
        self.person(part).create("comments", &comment)
    }

    /// An upload of somebody.
    pub fn upload(&self, part: &str) -> String {
        self.person(part)
            .create("media", &json!({ "mime": "image/webp" }))
    }

    /// A new conversation that the creator has opened, with these people and the one who tries
    /// something, if they are called after a part in it.
    pub fn conversation(&self, kind: &str, parts: &[&str]) -> Conversation {
        let mut all = parts.to_vec();
        if !all.contains(&&*self.who) {
            all.push(&self.who);
        }
        self.open(kind, &all)
    }

    /// A direct conversation of the creator with somebody.
    pub fn direct(&self, part: &str) -> Conversation {
        match &*self.who {
            "former" => self.open("direct", &["former"]),
            _ => self.open("direct", &[part]),
        }
    }

    fn open(&self, kind: &str, parts: &[&str]) -> Conversation {
        let creator = self.person("creator");
        let id = creator.create("conversations", &json!({ "type": kind }));
        let opened = json!({ "conversation_id": id, "role": "creator" });
        let own = creator.create("conversation_members", &opened);
        let mut members = HashMap::from([("creator".to_owned(), own)]);
        for part in parts {
            let role = match *part {
                "manager" => "admin",
                "member" | "sender" | "themself" | "former" => "member",
                _ => continue,
            };
            let user = self.person(part).id();
            let membership = json!({ "conversation_id": id, "user_id": user, "role": role });
            let added = creator.create("conversation_members", &membership);
            members.insert((*part).to_owned(), added);
        }
        if let Some(former) = members.get("former") {
            let path = format!("/conversation_members/{former}");
            self.person("former").delete(&path).expect(204);
        }
        Conversation { id, members }
    }

    /// A message of somebody in a conversation.
    pub fn message(&self, part: &str, conversation: &str) -> String {
        let message = json!({ "conversation_id": conversation, "content": "Hello" });
        self.person(part).create("messages", &message)
    }

    /// The first document that matches, for somebody who sees it.
    pub fn found(&self, part: &str, collection: &str, filter: &Json) -> String {
        let found = self.person(part).find(collection, filter);
        text(&found.first().expect("it is there")["id"])
    }
}

/// A conversation and the ids of its memberships, by part.
pub struct Conversation {
    pub id: String,
    pub members: HashMap<String, String>,
}
