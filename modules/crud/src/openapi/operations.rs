//! The routes of a collection, one operation each.
//!
//! Every status that a route can answer is listed, and no other, so that a test can hold the server
//! to it.

use nubo_core::{
    access::Action,
    field::{Field, FieldType},
    schema::Collection,
};
use serde_json::{Map, Value as Json, json};

use super::{Described, reference, schema_ref};

/// The paths and what they answer.
pub(super) fn paths(described: &Described<'_>) -> Json {
    let name = &described.collection.name;
    let changeable = !described.collection.append_only;
    let mut documents = json!({ "get": described.list(), "post": described.create_one() });
    let mut document = json!({
        "parameters": [described.id_parameter()],
        "get": described.get(),
        "head": described.head(),
    });
    if changeable {
        documents["patch"] = described.update_many();
        documents["delete"] = described.delete_many();
        document["patch"] = described.update_one();
        document["put"] = described.replace_one();
        document["delete"] = described.delete_one();
    }
    json!({
        format!("/{name}"): documents,
        format!("/{name}/query"): { "post": described.query_many() },
        format!("/{name}/count"): { "get": described.count() },
        format!("/{name}/bulk"): { "post": described.bulk() },
        format!("/{name}/{{id}}"): document,
    })
}

/// Who may ask: with a token always, without one where the rules let anybody through.
pub(super) fn security(open: bool) -> Json {
    match open {
        true => json!([{}, { "bearer": [] }]),
        false => json!([{ "bearer": [] }]),
    }
}

/// Statuses of errors.
const READ: [u16; 5] = [400, 401, 403, 500, 503];
const READ_ONE: [u16; 6] = [400, 401, 403, 404, 500, 503];
const QUERY: [u16; 7] = [400, 401, 403, 413, 415, 500, 503];
const CREATE: [u16; 9] = [400, 401, 403, 409, 413, 415, 422, 500, 503];
const CHANGE_ONE: [u16; 11] = [400, 401, 403, 404, 409, 412, 413, 415, 422, 500, 503];
const DELETE_ONE: [u16; 8] = [400, 401, 403, 404, 409, 412, 500, 503];
const CHANGE_MANY: [u16; 9] = CREATE;
const DELETE_MANY: [u16; 6] = [400, 401, 403, 409, 500, 503];
const BULK: [u16; 7] = [400, 401, 413, 415, 422, 500, 503];

impl Described<'_> {
    fn operation(&self, action: Action, id: String, summary: String, description: &str) -> Json {
        json!({
            "operationId": id,
            "summary": summary,
            "description": description,
            "tags": [self.collection.name],
            "security": security(self.collection.is_open(action)),
        })
    }

    fn list(&self) -> Json {
        let name = &self.collection.name;
        let mut operation = self.operation(
            Action::Read,
            self.names.on_many("list"),
            format!("List {name}"),
            "Documents that match a filter, in an order, from a cursor on; or, with `page` or \
             `page_size`, a numbered page with the number of all.",
        );
        let mut parameters = vec![self.filter_parameter(), self.sort_parameter()];
        parameters.extend(
            ["Limit", "Cursor", "Page", "PageSize"].map(|name| reference("parameters", name)),
        );
        parameters.push(self.fields_parameter());
        parameters.extend(self.expand_parameter());
        parameters.extend(["Consistent", "Explain"].map(|name| reference("parameters", name)));
        operation["parameters"] = parameters.into();
        operation["responses"] = responses([("200", self.list_response())], &READ);
        operation
    }

    fn query_many(&self) -> Json {
        let name = &self.collection.name;
        let mut operation = self.operation(
            Action::Read,
            self.names.on_many("query"),
            format!("List {name} by a question in the body"),
            "The same as the list, for filters that are long or that should not stand in a log.",
        );
        operation["requestBody"] = body(
            schema_ref(&self.names.schema("Query")),
            Some(json!({
                "filter": {},
                "sort": self.default_order(),
                "limit": self.settings.default_limit,
            })),
        );
        operation["responses"] = responses([("200", self.list_response())], &QUERY);
        operation
    }

    fn count(&self) -> Json {
        let mut operation = self.operation(
            Action::Read,
            self.names.on_many("count"),
            format!("Count {}", self.collection.name),
            "How many documents match.",
        );
        operation["parameters"] = json!([self.filter_parameter()]);
        let answer = read_response("The number.", schema_ref("Count"), false);
        operation["responses"] = responses([("200", answer)], &READ);
        operation
    }

    fn create_one(&self) -> Json {
        let mut operation = self.operation(
            Action::Create,
            self.names.on_one("create"),
            format!("Create a {}", self.singular()),
            match self.collection.is_behind() {
                false => "Adds a document. It is durable when the answer comes.",
                true => {
                    "Adds a document. It is durable when the answer comes (202), and carried out \
                     right after. Whoever reads sees it, for reads wait for that. With an `id` of \
                     its own it is carried out at once (201)."
                }
            },
        );
        operation["requestBody"] = body(self.schema("Create"), self.sample());
        let mut answer = self.written("The new document.");
        answer["headers"]["Location"] = reference("headers", "Location");
        operation["responses"] = match self.collection.is_behind() {
            false => responses([("201", answer)], &CREATE),
            true => {
                let mut accepted = self.written("The new document as it is going to be.");
                accepted["headers"]["Location"] = reference("headers", "Location");
                responses([("201", answer), ("202", accepted)], &CREATE)
            }
        };
        operation
    }

    fn get(&self) -> Json {
        let mut operation = self.operation(
            Action::Read,
            self.names.on_one("get"),
            format!("Get a {}", self.singular()),
            "One document by its id.",
        );
        let mut parameters = vec![self.fields_parameter()];
        parameters.extend(self.expand_parameter());
        parameters.extend(["Explain", "IfNoneMatch"].map(|name| reference("parameters", name)));
        operation["parameters"] = parameters.into();
        let found = read_response("The document.", self.schema("Selection"), true);
        let known = reference("responses", "NotModified");
        operation["responses"] = responses([("200", found), ("304", known)], &READ_ONE);
        operation
    }

    fn head(&self) -> Json {
        let mut operation = self.operation(
            Action::Read,
            self.names.on_one("head"),
            format!("Look whether a {} is there", self.singular()),
            "The headers of GET, without the document.",
        );
        let parameters = operation_parameters(&self.get());
        operation["parameters"] = parameters;
        let mut found = read_response("It is there.", Json::Null, true);
        if let Some(found) = found.as_object_mut() {
            found.shift_remove("content");
        }
        let known = reference("responses", "NotModified");
        let mut all = responses([("200", found), ("304", known)], &[]);
        for (status, description) in [
            ("400", "The request cannot be read."),
            (
                "401",
                "Nobody is signed in, or the token is not valid any more.",
            ),
            ("403", "It may not be done."),
            ("404", "There is no such document."),
            ("500", "The server's own fault."),
            ("503", "The server cannot answer now."),
        ] {
            all[status] = json!({
                "description": description,
                "headers": { "X-Request-Id": reference("headers", "X-Request-Id") },
            });
        }
        operation["responses"] = all;
        operation
    }

    fn update_one(&self) -> Json {
        let mut operation = self.operation(
            Action::Update,
            self.names.on_one("update"),
            format!("Change a {}", self.singular()),
            "With fields, a JSON merge patch (RFC 7396): what is named is set, null removes. With \
             operators (all keys begin with `$`), they are executed in one step.",
        );
        operation["parameters"] = json!([reference("parameters", "IfMatch")]);
        operation["requestBody"] = self.change_body();
        let answer = self.written("The document as it is now.");
        operation["responses"] = responses([("200", answer)], &CHANGE_ONE);
        operation
    }

    fn replace_one(&self) -> Json {
        let mut operation = self.operation(
            Action::Update,
            self.names.on_one("replace"),
            format!("Replace a {}", self.singular()),
            "Gives every field the value that is there, its default, or none. The document must \
             exist.",
        );
        operation["parameters"] = json!([reference("parameters", "IfMatch")]);
        operation["requestBody"] = body(self.schema("Replace"), None);
        let answer = self.written("The document as it is now.");
        operation["responses"] = responses([("200", answer)], &CHANGE_ONE);
        operation
    }

    fn delete_one(&self) -> Json {
        let mut operation = self.operation(
            Action::Delete,
            self.names.on_one("delete"),
            format!("Delete a {}", self.singular()),
            "Removes the document, and with it what refers to it and says so (`on_delete`).",
        );
        operation["parameters"] = json!([reference("parameters", "IfMatch")]);
        let gone = json!({
            "description": "The document is gone.",
            "headers": { "X-Request-Id": reference("headers", "X-Request-Id") },
        });
        operation["responses"] = responses([("204", gone)], &DELETE_ONE);
        operation
    }

    fn update_many(&self) -> Json {
        let mut operation = self.operation(
            Action::Update,
            self.names.on_many("update"),
            format!("Change all {} that match", self.collection.name),
            "The same change to every document that matches, all or none. A filter that says \
             nothing needs `all=true`. If-Match is refused.",
        );
        operation["parameters"] = json!([self.filter_parameter(), reference("parameters", "All")]);
        operation["requestBody"] = self.change_body();
        let answer = done(
            "How many matched, and how many of them are different now.",
            "Changed",
        );
        operation["responses"] = responses([("200", answer)], &CHANGE_MANY);
        operation
    }

    fn delete_many(&self) -> Json {
        let mut operation = self.operation(
            Action::Delete,
            self.names.on_many("delete"),
            format!("Delete all {} that match", self.collection.name),
            "Removes every document that matches, all or none. A filter that says nothing needs \
             `all=true`. If-Match is refused.",
        );
        operation["parameters"] = json!([self.filter_parameter(), reference("parameters", "All")]);
        let answer = done("How many are gone.", "Deleted");
        operation["responses"] = responses([("200", answer)], &DELETE_MANY);
        operation
    }

    fn bulk(&self) -> Json {
        let name = &self.collection.name;
        let mut operation = self.operation(
            Action::Create,
            self.names.on_many("bulk"),
            format!("Execute many operations on {name}"),
            "Each operation stands for itself, and each has a result, in their order. With \
             `ordered` nothing is tried behind the first that fails.",
        );
        // Each item answers for itself.
        operation["security"] = security(true);
        operation["parameters"] = json!([reference("parameters", "Ordered")]);
        let operations = json!({
            "type": "array",
            "items": schema_ref(&self.names.schema("BulkOperation")),
            "description": format!("At most {} operations.", self.settings.max_bulk),
        });
        operation["requestBody"] = body(
            json!({ "anyOf": [
            operations,
            {
                "type": "object",
                "properties": {
                    "operations": operations,
                    "ordered": { "type": "boolean", "default": false },
                },
                "required": ["operations"],
                "additionalProperties": false,
            },
        ] }),
            self.sample().map(|sample| json!([{ "create": sample }])),
        );
        let results = json!({
            "type": "object",
            "properties": { "results": {
                "type": "array",
                "items": schema_ref(&self.names.schema("BulkResult")),
            } },
            "required": ["results"],
            "additionalProperties": false,
        });
        let answer = json!({
            "description": "A result for each operation.",
            "headers": { "X-Request-Id": reference("headers", "X-Request-Id") },
            "content": { "application/json": { "schema": results } },
        });
        operation["responses"] = responses([("200", answer)], &BULK);
        operation
    }

    /// What one document is called, for people.
    fn singular(&self) -> String {
        self.collection.singular.replace('_', " ")
    }

    fn schema(&self, suffix: &str) -> Json {
        schema_ref(&self.names.schema(suffix))
    }

    fn change_body(&self) -> Json {
        let mut body = json!({
            "required": true,
            "content": {
                "application/json": { "schema": self.schema("Update") },
                "application/merge-patch+json": { "schema": self.schema("Merge") },
            },
        });
        if let Some(fields) = self.sample_change() {
            body["content"]["application/json"]["examples"] = json!({
                "fields": { "summary": "Fields", "value": fields },
                "operators": { "summary": "Operators", "value": { "$set": fields } },
            });
            body["content"]["application/merge-patch+json"]["example"] = fields;
        }
        body
    }

    fn list_response(&self) -> Json {
        let schema = json!({ "anyOf": [self.schema("List"), self.schema("Page")] });
        read_response("The documents.", schema, false)
    }

    /// The answer to a write of one document.
    fn written(&self, description: &str) -> Json {
        json!({
            "description": description,
            "headers": {
                "ETag": reference("headers", "ETag"),
                "X-Request-Id": reference("headers", "X-Request-Id"),
            },
            "content": { "application/json": { "schema": self.schema("") } },
        })
    }

    fn id_parameter(&self) -> Json {
        json!({
            "name": "id",
            "in": "path",
            "required": true,
            "description": format!("Id of the {}.", self.singular()),
            "schema": { "type": "string", "format": "uuid" },
        })
    }

    fn filter_parameter(&self) -> Json {
        json!({
            "name": "filter",
            "in": "query",
            "description": "Which documents, as JSON: `{\"created_at\":{\"$gte\":\"2026-01-01T00:00:00Z\"}}`. \
                            Simple ones may stand in brackets instead: `filter[field]=value`, \
                            `filter[field][$gt]=2`. Absent, every document matches. For long ones there is \
                            `query`.",
            "content": { "application/json": { "schema": self.schema("Filter"), "example": {} } },
        })
    }

    fn sort_parameter(&self) -> Json {
        let mut schema = self.sort_schema();
        let default = self.default_order();
        schema["default"] = default.as_str().into();
        json!({
            "name": "sort",
            "in": "query",
            "description": "Order: fields with commas between them, `-` for descending. Nulls come \
                            first ascending and last descending; `id` breaks ties.",
            "schema": schema,
        })
    }

    fn fields_parameter(&self) -> Json {
        json!({
            "name": "fields",
            "in": "query",
            "description": "Send these fields only, with commas between them; `id` is always \
                            among them.",
            "schema": self.fields_schema(),
        })
    }

    fn expand_parameter(&self) -> Option<Json> {
        let ways = self.ways();
        Some(json!({
            "name": "expand",
            "in": "query",
            "description": expand_description(&ways),
            "schema": self.expand_schema()?,
        }))
    }

    /// The body of `/c/query`.
    pub fn query(&self, description: &str) -> Json {
        let sortable: Vec<String> = self
            .sortable()
            .flat_map(|name| [name.to_owned(), format!("-{name}")])
            .collect();
        let list_or = |text: Json, items: Json, description: &str| {
            json!({
                "description": description,
                "anyOf": [text, { "type": "array", "items": items, "minItems": 1 }],
            })
        };
        let settings = self.settings;
        let mut properties = Map::new();
        let mut add = |name: &str, schema: Json| properties.insert(name.to_owned(), schema);
        add("filter", self.schema("Filter"));
        add(
            "sort",
            list_or(
                self.sort_schema(),
                json!({ "enum": sortable }),
                "Order, as text with commas or as a list; `-` for descending.",
            ),
        );
        let limits = json!({ "type": "integer", "minimum": 1, "maximum": settings.max_limit });
        let usual = settings.default_limit;
        let mut limit = limits.clone();
        limit["description"] =
            format!("Most documents of the answer; {usual} where absent.").into();
        add("limit", limit);
        add(
            "cursor",
            json!({ "type": "string", "description": "`next_cursor` of the answer before." }),
        );
        let names: Vec<&str> = self.queryable().map(|field| field.name.as_str()).collect();
        add(
            "fields",
            list_or(
                self.fields_schema(),
                json!({ "enum": names }),
                "Send these fields only, as text with commas or as a list.",
            ),
        );
        if let Some(schema) = self.expand_schema() {
            let items = json!({ "type": "string", "pattern": schema["pattern"] });
            add(
                "expand",
                list_or(schema, items, &expand_description(&self.ways())),
            );
        }
        add(
            "page",
            json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX,
                "description": "Number of a page, from 1; goes with neither `cursor` nor `limit`." }),
        );
        let mut size = limits;
        size["description"] = format!("Most documents of a page; {usual} where absent.").into();
        add("page_size", size);
        add(
            "consistent",
            json!({ "type": "boolean", "default": false,
                "description": "Read everything at one moment." }),
        );
        add(
            "explain",
            json!({ "type": "boolean", "default": false,
                "description": "Say in `X-Nubo-Explain` why the answer comes from its tier. For admins." }),
        );
        json!({
            "type": "object",
            "description": description,
            "properties": properties,
            "additionalProperties": false,
        })
    }

    fn queryable(&self) -> impl Iterator<Item = &Field> {
        self.collection
            .fields()
            .iter()
            .filter(|field| field.is_queryable())
    }

    fn sortable(&self) -> impl Iterator<Item = &str> {
        self.queryable()
            .filter(|field| field.kind.is_ordered())
            .map(|field| field.name.as_str())
    }

    fn sort_schema(&self) -> Json {
        let names = self.sortable().collect::<Vec<_>>().join("|");
        json!({ "type": "string", "pattern": format!("^-?(?:{names})(?:,-?(?:{names}))*$") })
    }

    fn fields_schema(&self) -> Json {
        let stored = self.queryable().map(|field| field.name.as_str());
        let found = self.collection.virtual_fields().keys().map(String::as_str);
        let names = stored.chain(found).collect::<Vec<_>>().join("|");
        json!({ "type": "string", "pattern": format!("^(?:{names})(?:,(?:{names}))*$") })
    }

    /// The first steps of all expansions.
    fn ways(&self) -> Vec<String> {
        let forward = self.queryable().filter_map(|field| match &field.kind {
            FieldType::Ref(_) => Some(field.name.clone()),
            FieldType::List(item) if matches!(**item, FieldType::Ref(_)) => {
                Some(field.name.clone())
            }
            _ => None,
        });
        let backward = self.collection.referenced_by.iter().filter_map(|reverse| {
            let other: &Collection = self.catalog.get(reverse.collection);
            let field = &other.fields()[reverse.field];
            field
                .is_queryable()
                .then(|| format!("{}({})", other.name, field.name))
        });
        forward.chain(backward).collect()
    }

    /// None where nothing is related.
    fn expand_schema(&self) -> Option<Json> {
        let ways = self.ways();
        if ways.is_empty() {
            return None;
        }
        let first = ways.join("|").replace('(', r"\(").replace(')', r"\)");
        let name = "[a-z][a-z0-9_]*";
        let way = format!(r"(?:{first})(?:\.{name}(?:\({name}\))?){{0,2}}");
        Some(json!({ "type": "string", "pattern": format!("^{way}(?:,{way})*$") }))
    }

    fn default_order(&self) -> String {
        let keys = self.collection.order.iter().map(|key| {
            let sign = if key.descending { "-" } else { "" };
            format!("{sign}{}", self.collection.fields()[key.field].name)
        });
        keys.collect::<Vec<_>>().join(",")
    }
}

fn expand_description(ways: &[String]) -> String {
    let ways: Vec<String> = ways.iter().map(|way| format!("`{way}`")).collect();
    format!(
        "Bring related documents along, under `_expand`: {}. A dot goes on from there, up to three \
         levels; commas separate several.",
        ways.join(", ")
    )
}

fn operation_parameters(operation: &Json) -> Json {
    operation
        .get("parameters")
        .cloned()
        .unwrap_or_else(|| json!([]))
}

/// A body of JSON, with an example where there is one.
pub(super) fn body(schema: Json, example: Option<Json>) -> Json {
    let mut media = json!({ "schema": schema });
    if let Some(example) = example {
        media["example"] = example;
    }
    json!({ "required": true, "content": { "application/json": media } })
}

/// The answer to a read. Only a bare document has a tag.
fn read_response(description: &str, schema: Json, tagged: bool) -> Json {
    let mut headers = Map::new();
    let names = [
        "ETag",
        "Cache-Control",
        "Vary",
        "X-Nubo-Tier",
        "X-Nubo-Explain",
        "X-Request-Id",
    ];
    for name in &names[usize::from(!tagged)..] {
        headers.insert((*name).to_owned(), reference("headers", name));
    }
    json!({
        "description": description,
        "headers": headers,
        "content": { "application/json": { "schema": schema } },
    })
}

/// The answer to a write of many documents.
fn done(description: &str, schema: &str) -> Json {
    json!({
        "description": description,
        "headers": { "X-Request-Id": reference("headers", "X-Request-Id") },
        "content": { "application/json": { "schema": schema_ref(schema) } },
    })
}

/// What is answered when all is well, and these errors.
pub(super) fn responses<const N: usize>(well: [(&str, Json); N], errors: &[u16]) -> Json {
    let mut all: Map<String, Json> = well
        .into_iter()
        .map(|(status, response)| (status.to_owned(), response))
        .collect();
    for status in errors {
        let name = super::shared::error_name(*status);
        all.insert(status.to_string(), reference("responses", name));
    }
    all.into()
}
