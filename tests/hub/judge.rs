//! Holds what is said over a socket against the AsyncAPI document that the same server serves: every
//! event, every answer, and every message that was carried out. All tests speak before this judge.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock},
};

use jsonschema::Validator;
use serde_json::{Map, Value as Json};

use crate::server::Client;

/// Knows one server's document.
pub struct Judge {
    document: Json,
    /// By the names of the messages.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
    /// Names of the messages that were found to be as the document says.
    seen: Mutex<HashSet<String>>,
}

impl Judge {
    /// The judge of a server; each is asked for its document once.
    pub fn of(client: &Client) -> Arc<Self> {
        static JUDGES: OnceLock<Mutex<HashMap<String, Arc<Judge>>>> = OnceLock::new();
        let judges = JUDGES.get_or_init(Mutex::default);
        if let Some(judge) = judges.lock().unwrap().get(&client.address().to_string()) {
            return Arc::clone(judge);
        }
        let judge = Arc::new(Self {
            document: client.get("/asyncapi.json").expect(200),
            validators: Mutex::default(),
            seen: Mutex::default(),
        });
        let mut judges = judges.lock().unwrap();
        Arc::clone(judges.entry(client.address().to_string()).or_insert(judge))
    }

    /// The names of the messages that were heard so far.
    pub fn seen(&self) -> HashSet<String> {
        self.seen.lock().unwrap().clone()
    }

    /// An event must be what exactly one message of its channel says.
    #[track_caller]
    pub fn event(&self, event: &Json) {
        let channels = self.object("channels");
        let heard_on = |channel: &&Json| match event["channel"].as_str() {
            Some(name) => makes(channel["address"].as_str().unwrap(), name),
            None => channel["address"] == "/ws",
        };
        let names: HashSet<&String> = channels
            .values()
            .filter(heard_on)
            .flat_map(|channel| channel["messages"].as_object().unwrap().keys())
            .filter(|name| self.means(name, event, &["event", "collection"]))
            .collect();
        let names: Vec<&String> = names.into_iter().collect();
        assert_eq!(names.len(), 1, "{names:?} for {event}");
        self.hold(names[0], event);
    }

    /// A refusal that belongs to nothing that was asked here.
    #[track_caller]
    pub fn refusal(&self, refusal: &Json) {
        self.hold("refusal", refusal);
    }

    /// An answer must be one of those to what was asked. What was carried out must have been asked
    /// for as the document says.
    #[track_caller]
    pub fn answer(&self, request: &Json, answer: &Json) {
        if answer.get("error").is_some() {
            return self.refusal(answer);
        }
        let operations = self.object("operations").values();
        let asked: Vec<(String, &Json)> = operations
            .filter(|operation| operation["action"] == "receive")
            .map(|operation| (message(&operation["messages"][0]), operation))
            .filter(|(name, _)| self.means(name, request, &["op", "collection"]))
            .collect();
        assert_eq!(asked.len(), 1, "one operation for {request}");
        let (name, operation) = &asked[0];
        self.hold(name, request);
        self.hold(&message(&operation["reply"]["messages"][0]), answer);
    }

    fn object(&self, key: &str) -> &Map<String, Json> {
        self.document[key].as_object().unwrap()
    }

    fn payload(&self, message: &str) -> &Json {
        &self.document["components"]["messages"][message]["payload"]
    }

    /// Whether the constants of a message are those of a frame. `subscribe` has no collection of its
    /// own and takes any.
    fn means(&self, message: &str, frame: &Json, keys: &[&str]) -> bool {
        let properties = &self.payload(message)["properties"];
        keys.iter().all(|key| match properties.get(*key) {
            None => frame.get(*key).is_none(),
            Some(property) => match property.get("const") {
                Some(constant) => frame.get(*key) == Some(constant),
                None => true,
            },
        })
    }

    #[track_caller]
    fn hold(&self, message: &str, frame: &Json) {
        let mut validators = self.validators.lock().unwrap();
        let validator = validators.entry(message.to_owned()).or_insert_with(|| {
            let mut schema = self.payload(message).clone();
            inline(&mut schema, &self.document);
            // AsyncAPI goes by draft 7. This one does not differ in what is used here, but that it
            // knows UUIDs.
            schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
            let options = jsonschema::options().should_validate_formats(true);
            Arc::new(options.build(&schema).unwrap())
        });
        let validator = Arc::clone(validator);
        drop(validators);
        let errors: Vec<String> = validator
            .iter_errors(frame)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{message}: {errors:?} in {frame}");
        self.seen.lock().unwrap().insert(message.to_owned());
    }
}

/// The name of a message that is referred to.
fn message(reference: &Json) -> String {
    let reference = reference["$ref"].as_str().unwrap();
    reference.rsplit('/').next().unwrap().to_owned()
}

/// Puts what references lead to in their places.
fn inline(schema: &mut Json, document: &Json) {
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        let pointer = reference.strip_prefix('#').unwrap();
        *schema = document.pointer(pointer).unwrap().clone();
        return inline(schema, document);
    }
    match schema {
        Json::Object(entries) => entries.values_mut().for_each(|part| inline(part, document)),
        Json::Array(parts) => parts.iter_mut().for_each(|part| inline(part, document)),
        _ => {}
    }
}

/// Whether a name is one that an address makes: `room:{room_id}` makes `room:0198…`.
fn makes(address: &str, name: &str) -> bool {
    match address.split_once('{') {
        None => address == name,
        Some((before, rest)) => {
            let (_, after) = rest.split_once('}').unwrap();
            let Some(value) = name.strip_prefix(before) else {
                return false;
            };
            let Some(value) = value.strip_suffix(after) else {
                return false;
            };
            !value.is_empty() && !value.contains(['/', ':'])
        }
    }
}
