//! What people write: the shape of a collection file, before any of it is checked.
//!
//! These types are three things at once: what serde reads, the JSON Schema that editors
//! complete from, and (through their doc comments) the reference that people read. Nothing
//! here knows whether a name exists; [`crate::schema::Catalog::compile`] finds that out.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// One collection: its fields, indexes, tiers, access rules and effects.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Nubo collection")]
pub struct CollectionDeclaration {
    /// Name of the collection and of its routes: lower-case letters, digits and underscores. In
    /// `collections/` it is the file's stem.
    pub name: String,
    /// What one document is called, for operation ids; found from the name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub singular: Option<String>,
    /// `flux` for messages that are heard and not stored.
    #[serde(default, skip_serializing_if = "Kind::is_stored")]
    pub kind: Kind,
    /// What the collection was called before: its table, with all documents, gets the new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// What the collection is for. Shown in the API's documentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Group of collections that belong together: a tag in the API's documentation, a schema in
    /// PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The field that holds the owner's account id; what the rule `owner` means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Default order of lists, `-` for descending. `id` breaks ties. Default: `-created_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OneOrMany>,
    /// The fields, in the order in which they are sent. `id`, `created_at`, `updated_at` and `_rev`
    /// are there by themselves.
    pub fields: IndexMap<String, FieldDeclaration>,
    /// Fields that are not stored but found out when a document is read. They are in what reads
    /// answer, and cannot be written, filtered or sorted by.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub virtual_fields: IndexMap<String, VirtualField>,
    /// Indexes beyond those of unique fields. Each gets `id` at its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexDeclaration>,
    /// Where documents are held.
    #[serde(default)]
    pub tiers: TiersDeclaration,
    /// Who may do what. An action that is not listed is for admins only.
    #[serde(default)]
    pub access: AccessDeclaration,
    /// Derived data, written in the transaction that causes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<EffectDeclaration>,
    /// How changes reach WebSocket clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realtime: Option<RealtimeDeclaration>,
    /// `through`: acknowledged when the truth has it. `behind`: a new document is acknowledged when
    /// it is durable in a queue, and carried out afterwards.
    #[serde(default)]
    pub write: WriteMode,
    /// Documents are deleted this long after their creation, for example `7d` or `12h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<String>,
    /// Whether documents may be changed or deleted once they are written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append_only: bool,
}

/// What is found out when a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VirtualField {
    /// Whether the account with the document's id is connected over WebSocket.
    Presence,
}

impl VirtualField {
    /// The schema of its values, where they are.
    pub fn json_schema(self) -> Json {
        match self {
            Self::Presence => json!({
                "type": "boolean",
                "readOnly": true,
                "description": "Whether somebody is connected with this account. Not stored: it is \
                    in what reads answer, and absent where a write answers or an event tells.",
            }),
        }
    }
}

/// One name, or a list of names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// The names as a slice, however they were written.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// A field: short (`text!`, `ref(users)!`, `text[]`) or long (`{ type: text, required: true }`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FieldDeclaration {
    /// Type, then `!` when the field is required.
    Short(String),
    /// Type and options.
    Long(Box<FieldOptions>),
}

/// The long form of a field.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldOptions {
    /// `text int bigint float decimal bool uuid ref timestamp date duration json object ip email
    /// url bytes password`, or any of these but `object` and `password` with `[]` behind it.
    #[serde(rename = "type")]
    pub kind: String,
    /// For `ref`: the collection that is referenced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// For `object`: the fields inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<IndexMap<String, FieldDeclaration>>,
    /// A document without a value is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// No two documents have the same value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// Value of a new document that brings none: a literal, `$now`, `$uuid` or `$auth.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// Smallest value allowed (numbers, timestamps, dates, durations; dates also as `-18y`, that is
    /// relative to today).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Json>,
    /// Largest value allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Json>,
    /// Fewest characters (text), bytes (bytes) or items (arrays) allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Most characters (text), bytes (bytes) or items (arrays) allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Regular expression that a text matches somewhere; anchor it with `^` and `$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The values allowed: a list, or names and the values they stand for.
    #[serde(rename = "enum", default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<EnumDeclaration>,
    /// What is done to a text before it is checked and stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<NormalizeDeclaration>,
    /// Cannot be changed after creation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
    /// Never leaves the server, and is not accepted from outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Accepted from outside, never sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub write_only: bool,
    /// Who may read the field, where that is not everyone who may read the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable_by: Option<RuleDeclaration>,
    /// Who may write the field, where that is not everyone who may write the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable_by: Option<RuleDeclaration>,
    /// Value given at every change: `$now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_update: Option<String>,
    /// For `ref`: what happens to this document when the other one is deleted. Default: `restrict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<OnDelete>,
    /// Part of the collection's full-text search.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub searchable: bool,
    /// Personal or secret: never written to logs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// What the field was called before: its column, with all values, gets the new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// What the field means. Shown in the API's documentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The values a field may have.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EnumDeclaration {
    /// The values themselves.
    Values(Vec<Json>),
    /// Names, accepted in input and filters, and the values that are stored and sent.
    Names(IndexMap<String, Json>),
}

/// One normalisation, or several in their order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NormalizeDeclaration {
    One(Normalize),
    Many(Vec<Normalize>),
}

/// What can be done to a text before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// White space at both ends is removed.
    Trim,
    /// Letters become lower-case (Unicode).
    Lower,
    /// Unicode normalisation form KC: look-alike forms of a character become one.
    Nfkc,
}

/// What happens to a document when one that it references is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// The deletion is refused.
    #[default]
    Restrict,
    /// The document is deleted too.
    Cascade,
    /// The reference becomes null.
    SetNull,
}

/// An index: a list of fields, or fields with options.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum IndexDeclaration {
    /// The fields, `-` for descending.
    Fields(Vec<String>),
    /// Fields and options.
    Options(IndexOptions),
}

/// The long form of an index.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexOptions {
    /// The fields, `-` for descending.
    pub fields: Vec<String>,
    /// No two documents have the same values in these fields.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// Only documents that match this filter are in the index.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Json>,
    /// Kind of index. `gin` is for json and arrays, and has an effect in PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub using: Option<IndexKind>,
}

/// How an index is organised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IndexKind {
    /// Ordered; answers equality, ranges and sorting.
    #[default]
    Btree,
    /// Inverted; answers what a json value or an array contains.
    Gin,
}

/// Which tiers hold the collection, and how.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TiersDeclaration {
    /// The cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheTierDeclaration>,
    /// The recent tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<RecentTierDeclaration>,
    /// The truth, or `none` for a collection that lives in the recent tier alone. Without a recent
    /// tier the truth holds it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<TruthTierDeclaration>,
}

/// What the cache keeps of a collection.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheTierDeclaration {
    /// Fields for each of whose values the documents are kept in the collection's order, as far as
    /// somebody asks for them. Lists that are narrowed by one of these come from the cache.
    #[serde(default)]
    pub sets: Vec<String>,
    /// How long a document stays after it was put there, for example `10m`, whether it is read or
    /// not. Without it, it stays until the room is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What the recent tier keeps of a collection.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecentTierDeclaration {
    /// Name of the MongoDB collection. Default: `<name>_recent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// How long a document stays after its last use. Default: `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Shard key on a sharded cluster. Default: `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_key: Option<String>,
}

/// How the truth holds a collection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TruthTierDeclaration {
    /// `none`.
    Word(TruthWord),
    /// A table with options.
    Options(TruthOptions),
}

/// The one word that stands for no truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TruthWord {
    /// The collection lives in the recent tier alone.
    None,
}

/// Options of the truth's table.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TruthOptions {
    /// Name of the SQL table. Default: the collection's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// Who may do what.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessDeclaration {
    /// Who sees a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<RuleDeclaration>,
    /// Who may create a document; checked against the document as it would be stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<RuleDeclaration>,
    /// Who may change a document; checked before and after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<RuleDeclaration>,
    /// Who may delete a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<RuleDeclaration>,
}

/// A rule: a word (`public`, `authenticated`, `owner`, `role:<name>`, `none`), a filter in which
/// `$auth.…` stands for the person who asks, or a list of rules of which any one is enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RuleDeclaration {
    /// `public`, `authenticated`, `owner`, `role:<name>` or `none`.
    Word(String),
    /// Any of these.
    Any(Vec<RuleDeclaration>),
    /// A filter.
    Filter(serde_json::Map<String, Json>),
}

/// One piece of derived data. Exactly one of `update`, `create` and `delete` names the collection
/// that it changes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EffectDeclaration {
    /// The kind of write that causes it.
    pub on: Trigger,
    /// Only documents that match this filter cause it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Json>,
    /// Once for each document found here, which is then called `$each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEachDeclaration>,
    /// Collection whose documents are changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<String>,
    /// Collection in which a document is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<String>,
    /// Collection whose documents are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// Which documents are changed or deleted. `$doc.<field>` is the causing document's value.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Json>,
    /// Fields and their new values, which may be `$doc.<field>`, `$each.<field>`, `$now` or `$uuid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<serde_json::Map<String, Json>>,
    /// A change in operators, for example `{ $inc: { like_count: 1 } }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Json>,
}

/// What an effect goes through.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForEachDeclaration {
    /// The collection.
    #[serde(rename = "in")]
    pub collection: String,
    /// Which of its documents.
    #[serde(rename = "where")]
    pub condition: Json,
}

/// The kind of write that causes an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    Create,
    Update,
    Delete,
}

/// Whether documents are kept.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Documents are stored.
    #[default]
    Stored,
    /// Messages reach those who listen over WebSocket, and are forgotten.
    Flux,
}

impl Kind {
    fn is_stored(&self) -> bool {
        *self == Self::Stored
    }
}

/// How changes reach WebSocket clients.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RealtimeDeclaration {
    /// Whether changes are announced at all.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub announce: bool,
    /// Channel on which a document's changes are announced, beside those of the collection and of
    /// the document: a word, a colon, and `{field}` for the value of a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How long a message of a collection with `kind: flux` is of interest, for example `500ms` or
    /// `3s`. Default: `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// When the truth has committed it.
    #[default]
    Through,
    /// A new document: when it is durable in a queue, from which the truth takes it. Anything else
    /// as with `through`.
    Behind,
}

const fn yes() -> bool {
    true
}
