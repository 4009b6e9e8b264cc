//! Looking at a JSON Schema: what it refers to, which kinds of value it takes, which words.

use serde_json::{Map, Value as Json};

/// The kinds of value there are, in the words of someone who writes YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Text,
    Whole,
    Number,
    Bool,
    List,
    Map,
    Null,
}

impl Kind {
    /// The kind of a value.
    pub fn of(value: &Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(_) => Self::Bool,
            Json::Number(number) if number.is_f64() => Self::Number,
            Json::Number(_) => Self::Whole,
            Json::String(_) => Self::Text,
            Json::Array(_) => Self::List,
            Json::Object(_) => Self::Map,
        }
    }

    /// The kind that a schema's `type` names.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::Text,
            "integer" => Self::Whole,
            "number" => Self::Number,
            "boolean" => Self::Bool,
            "array" => Self::List,
            "object" => Self::Map,
            "null" => Self::Null,
            _ => return None,
        })
    }

    /// Whether a value of the kind `found` will do where this kind is asked for.
    pub fn takes(self, found: Self) -> bool {
        self == found || (self == Self::Number && found == Self::Whole)
    }

    /// The kind with its article.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Null => "nothing",
        }
    }
}

/// A schema within the document that its references point into.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    root: &'a Json,
    schema: &'a Json,
}

impl<'a> Shape<'a> {
    /// The schema that is a whole document.
    pub fn root(root: &'a Json) -> Self {
        Self { root, schema: root }.resolved()
    }

    /// Another schema in the same document, its references followed.
    pub fn with(self, schema: &'a Json) -> Self {
        Self { schema, ..self }.resolved()
    }

    /// Follows `$ref`. schemars puts descriptions and defaults beside one, nothing that restricts.
    /// A reference that leads nowhere or in a circle is left standing and then restricts nothing.
    fn resolved(self) -> Self {
        let mut shape = self;
        for _ in 0..16 {
            let target = shape
                .get("$ref")
                .and_then(Json::as_str)
                .and_then(|reference| reference.strip_prefix('#'))
                .and_then(|pointer| self.root.pointer(pointer));
            match target {
                Some(schema) => shape.schema = schema,
                None => break,
            }
        }
        shape
    }

    /// A keyword of the schema.
    pub fn get(self, keyword: &str) -> Option<&'a Json> {
        self.schema.get(keyword)
    }

    /// A keyword that holds text.
    pub fn text(self, keyword: &str) -> Option<&'a str> {
        self.get(keyword).and_then(Json::as_str)
    }

    /// Whether the schema is `false`: nothing is right here.
    pub fn is_never(self) -> bool {
        self.schema == &Json::Bool(false)
    }

    /// The alternatives of `anyOf` and `oneOf`, alternatives within alternatives laid flat; none if
    /// the schema offers none.
    pub fn branches(self) -> Vec<Self> {
        let Some(branches) = self
            .get("anyOf")
            .or_else(|| self.get("oneOf"))
            .and_then(Json::as_array)
        else {
            return Vec::new();
        };
        branches
            .iter()
            .flat_map(|branch| {
                let branch = self.with(branch);
                match branch.branches() {
                    inner if inner.is_empty() => vec![branch],
                    inner => inner,
                }
            })
            .collect()
    }

    /// The keys that the schema knows, with their schemas.
    pub fn properties(self) -> Option<&'a Map<String, Json>> {
        self.get("properties").and_then(Json::as_object)
    }

    /// The schema of what stands under a key: a known key's, or that of all others.
    pub fn property(self, key: &str) -> Option<Self> {
        let known = self.properties().and_then(|properties| properties.get(key));
        known
            .or_else(|| self.get("additionalProperties"))
            .map(|schema| self.with(schema))
            .filter(|shape| !shape.is_never())
    }

    /// The keys that must be there.
    pub fn required(self) -> impl Iterator<Item = &'a str> {
        self.get("required")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
    }

    /// The only values allowed, if the schema lists them.
    pub fn words(self) -> Option<Vec<&'a Json>> {
        match (self.get("const"), self.get("enum")) {
            (Some(word), _) => Some(vec![word]),
            (None, Some(words)) => Some(words.as_array()?.iter().collect()),
            (None, None) => None,
        }
    }

    /// The kinds of value that the schema takes; all of them if it does not say.
    pub fn kinds(self) -> Vec<Kind> {
        let branches = self.branches();
        let mut kinds: Vec<Kind> = if let Some(kind) = self.get("type") {
            let names = match kind {
                Json::Array(names) => names.as_slice(),
                name => std::slice::from_ref(name),
            };
            let named = names.iter().filter_map(Json::as_str);
            named.filter_map(Kind::named).collect()
        } else if let Some(words) = self.words() {
            words.into_iter().map(Kind::of).collect()
        } else if !branches.is_empty() {
            branches.into_iter().flat_map(Self::kinds).collect()
        } else {
            use Kind::{Bool, List, Map, Null, Number, Text, Whole};
            vec![Text, Whole, Number, Bool, List, Map, Null]
        };
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Whether the schema takes values of this kind.
    pub fn takes(self, found: Kind) -> bool {
        self.kinds().iter().any(|kind| kind.takes(found))
    }

    /// Whether what stands here is to be kept secret.
    pub fn is_secret(self) -> bool {
        self.text("format") == Some("password") || self.branches().into_iter().any(Self::is_secret)
    }
}

/// Words as they are listed in a sentence: "a, b or c".
pub fn listed<T: AsRef<str>>(words: &[T]) -> String {
    match words {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", most.join(", "), last.as_ref())
        }
    }
}

/// A value as it is named in a message; long text is cut.
pub fn found(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "a map".to_owned(),
        Json::String(text) if text.chars().count() > 60 => {
            let beginning: String = text.chars().take(57).collect();
            format!("the text `{beginning}...`")
        }
        Json::String(text) => format!("the text `{text}`"),
        Json::Number(number) => format!("the number {number}"),
        Json::Bool(value) => format!("`{value}`"),
    }
}
