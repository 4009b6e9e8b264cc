//! The part of the OpenAPI document that belongs to the module's routes.
//!
//! An operation lists every status that its route can answer and no other. What an account or a
//! session looks like comes from the collections.

use nubo_core::{
    field::{Direction, allow_null},
    schema::Collection,
};
use serde_json::{Map, Value as Json, json};

use crate::{model::Model, shared::Shared};

/// Paths, schemas and the tag.
pub(crate) fn fragment(shared: &Shared, dev_tokens: bool) -> Json {
    let model = &*shared.model;
    let mut paths = json!({
        "/signup": { "post": sign_up(model) },
        "/login": { "post": log_in(model) },
        "/refresh": { "post": refresh() },
        "/logout": { "post": log_out() },
        "/me": { "get": get_me(), "patch": update_me(model), "delete": delete_me() },
        "/me/password": { "post": change_password() },
        "/me/sessions": { "get": list_my_sessions() },
        "/me/sessions/{id}": { "delete": end_my_session() },
    });
    if dev_tokens {
        paths["/token"] = json!({ "get": issue_test_token() });
    }
    json!({
        "tags": [{
            "name": TAG,
            "description": "Signing up and in, and one's own account.",
            "x-domain": model.accounts.collection.domain,
        }],
        "paths": paths,
        "components": { "schemas": {
            "Me": me(&model.accounts.collection),
            "MySession": my_session(&model.sessions.collection),
            "SignedIn": signed_in(),
        } },
    })
}

const TAG: &str = "auth";

/// Who may ask.
#[derive(Clone, Copy, PartialEq)]
enum Asks {
    Anybody,
    SignedIn,
}

fn operation(id: &str, summary: &str, description: &str, asks: Asks) -> Json {
    json!({
        "operationId": id,
        "summary": summary,
        "description": description,
        "tags": [TAG],
        "security": match asks {
            Asks::Anybody => json!([]),
            Asks::SignedIn => json!([{ "bearer": [] }]),
        },
    })
}

fn sign_up(model: &Model) -> Json {
    let mut operation = operation(
        "signUp",
        "Sign up",
        "Makes an account and signs its owner in.",
        Asks::Anybody,
    );
    operation["requestBody"] = body(new_account(&model.accounts.collection), None);
    operation["responses"] = responses(
        "201",
        signed_in_answer("The account, and tokens to speak for it."),
        &[400, 403, 409, 413, 415, 422, 429, 500, 503],
    );
    operation
}

fn log_in(model: &Model) -> Json {
    let accounts = &model.accounts;
    let names = accounts
        .identifiers
        .iter()
        .map(|index| accounts.field(*index).name.as_str());
    let names: Vec<&str> = names.collect();
    let mut properties = Map::new();
    properties.insert(
        "identifier".into(),
        text(&format!(
            "What the account signs in as: {}.",
            names.join(" or ")
        )),
    );
    for name in &names {
        let own = text(&format!("In place of `identifier`: the account's {name}."));
        properties.insert((*name).to_owned(), own);
    }
    properties.insert(
        "password".into(),
        json!({ "type": "string", "format": "password" }),
    );
    properties.insert("device".into(), device());
    let either = std::iter::once("identifier").chain(names.iter().copied());
    let either: Vec<Json> = either.map(|name| json!({ "required": [name] })).collect();
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": ["password"],
        "oneOf": either,
        "additionalProperties": false,
    });
    let example = json!({ "identifier": "ada", "password": "correct horse battery" });
    let mut operation = operation(
        "logIn",
        "Sign in",
        "Begins a session. An unknown account and a wrong password get the same answer. An account \
         that may not be used gets 403 with the code `account_` and its state, once the password \
         was right.",
        Asks::Anybody,
    );
    operation["requestBody"] = body(schema, Some(example));
    operation["responses"] = responses(
        "200",
        signed_in_answer("Tokens, and the account."),
        &[400, 401, 403, 413, 415, 422, 429, 500, 503],
    );
    operation
}

fn refresh() -> Json {
    let mut operation = operation(
        "refresh",
        "Get new tokens",
        "Replaces a refresh token, which can be used once. One that is used again later ends its \
         session, because somebody must have copied it.",
        Asks::Anybody,
    );
    let schema = object(
        json!({ "refresh_token": text("As it was given last.") }),
        &["refresh_token"],
    );
    operation["requestBody"] = body(schema, None);
    operation["responses"] = responses(
        "200",
        signed_in_answer("Tokens, and the account."),
        &[400, 401, 413, 415, 422, 429, 500, 503],
    );
    operation
}

fn log_out() -> Json {
    let mut operation = operation(
        "logOut",
        "Sign out",
        "Ends this session, or all sessions of the account. Their access tokens end with them.",
        Asks::SignedIn,
    );
    let all = json!({ "all": {
        "type": "boolean",
        "default": false,
        "description": "End all sessions of the account.",
    } });
    operation["requestBody"] = body(object(all, &[]), Some(json!({ "all": true })));
    operation["requestBody"]["required"] = false.into();
    operation["responses"] = responses(
        "204",
        nothing("Signed out."),
        &[400, 401, 413, 415, 422, 500, 503],
    );
    operation
}

fn get_me() -> Json {
    let mut operation = operation(
        "getMe",
        "Read one's own account",
        "The account as its owner sees it.",
        Asks::SignedIn,
    );
    operation["responses"] =
        responses("200", account_answer("The account."), &[400, 401, 500, 503]);
    operation
}

fn update_me(model: &Model) -> Json {
    let collection = &model.accounts.collection;
    let password = model.accounts.password;
    let fields = collection.declared_fields();
    let fields = fields.filter(|(index, field)| field.is_accepted() && *index != password);
    let properties: Map<String, Json> = fields
        .map(|(_, field)| (field.name.clone(), field.json_schema(Direction::Change)))
        .collect();
    let schema = json!({ "anyOf": [
        {
            "type": "object",
            "description": "JSON merge patch: what is named is set, null removes.",
            "properties": properties,
            "additionalProperties": false,
        },
        {
            "type": "object",
            "description": "Operators, executed in one step.",
            "propertyNames": { "pattern": "^\\$" },
            "minProperties": 1,
        },
    ] });
    let mut operation = operation(
        "updateMe",
        "Change one's own account",
        "The same as PATCH on the account. The password is changed with POST /me/password.",
        Asks::SignedIn,
    );
    operation["parameters"] = json!([if_match()]);
    operation["requestBody"] = body(schema, None);
    operation["responses"] = responses(
        "200",
        account_answer("The account as it is now."),
        &[400, 401, 403, 404, 409, 412, 413, 415, 422, 500, 503],
    );
    operation
}

fn delete_me() -> Json {
    let mut operation = operation(
        "deleteMe",
        "Delete one's own account",
        "Clears what the account says of a person and ends all its sessions. Nobody can sign in to \
         it again; what refers to it still does.",
        Asks::SignedIn,
    );
    operation["parameters"] = json!([if_match()]);
    operation["responses"] = responses(
        "204",
        nothing("The account is deleted."),
        &[400, 401, 404, 412, 500, 503],
    );
    operation
}

fn change_password() -> Json {
    let password = |description: &str| json!({ "type": "string", "format": "password", "description": description });
    let schema = object(
        json!({
            "current_password": password("The one that is valid now."),
            "new_password": password("The one that will be."),
        }),
        &["current_password", "new_password"],
    );
    let mut operation = operation(
        "changePassword",
        "Change one's password",
        "Ends all other sessions. A wrong current password gets 403 with the code \
         `wrong_password`.",
        Asks::SignedIn,
    );
    operation["requestBody"] = body(schema, None);
    operation["responses"] = responses(
        "204",
        nothing("The password is changed."),
        &[400, 401, 403, 413, 415, 422, 429, 500, 503],
    );
    operation
}

fn list_my_sessions() -> Json {
    let mut operation = operation(
        "listMySessions",
        "List one's sessions",
        "Where the account is signed in, the latest first.",
        Asks::SignedIn,
    );
    let schema = object(
        json!({ "data": { "type": "array", "items": schema_ref("MySession") } }),
        &["data"],
    );
    operation["responses"] = responses(
        "200",
        answer("The sessions that are live.", schema),
        &[400, 401, 500, 503],
    );
    operation
}

fn end_my_session() -> Json {
    let mut operation = operation(
        "endMySession",
        "End one of one's sessions",
        "Its tokens are not valid any more.",
        Asks::SignedIn,
    );
    operation["parameters"] = json!([{
        "name": "id",
        "in": "path",
        "required": true,
        "description": "Id of the session.",
        "schema": { "type": "string", "format": "uuid" },
    }]);
    operation["responses"] = responses(
        "204",
        nothing("The session has ended."),
        &[400, 401, 404, 500, 503],
    );
    operation
}

fn issue_test_token() -> Json {
    let query = |name: &str, required: bool, description: &str, schema: Json| {
        json!({
            "name": name,
            "in": "query",
            "required": required,
            "description": description,
            "schema": schema,
        })
    };
    let mut operation = operation(
        "issueTestToken",
        "Get a token for tests",
        "An access token for any account, without a password and without a session. Only where \
         `auth.dev_tokens` is on.",
        Asks::Anybody,
    );
    operation["parameters"] = json!([
        query(
            "sub",
            true,
            "Id of the account.",
            json!({ "type": "string", "format": "uuid" })
        ),
        query(
            "roles",
            false,
            "Roles in place of the account's own, with commas between them.",
            json!({ "type": "string" }),
        ),
    ]);
    let mut schema = signed_in();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.shift_remove("refresh_token");
        properties.shift_remove("user");
    }
    schema["required"] = json!(["access_token", "token_type", "expires_in"]);
    schema["description"] = "An access token.".into();
    operation["responses"] = responses("200", answer("The token.", schema), &[400, 404, 500, 503]);
    operation
}

/// What signing up takes: what creating an account takes, but for its id.
fn new_account(collection: &Collection) -> Json {
    let fields = || {
        collection
            .declared_fields()
            .filter(|(_, field)| field.is_accepted())
    };
    let mut properties: Map<String, Json> = fields()
        .map(|(_, field)| (field.name.clone(), field.json_schema(Direction::Input)))
        .collect();
    properties.entry("device").or_insert_with(device);
    let required = fields().filter(|(_, field)| field.required && field.default.is_none());
    let required: Vec<&str> = required.map(|(_, field)| field.name.as_str()).collect();
    object(properties.into(), &required)
}

/// An account as its owner sees it.
fn me(collection: &Collection) -> Json {
    let mut schema = collection.output_schema();
    for rules in collection
        .access
        .fields
        .iter()
        .filter(|rules| rules.readable_by.is_some())
    {
        let name = &collection.fields()[rules.field].name;
        if let Some(property) = schema["properties"].get_mut(name) {
            // Null where not even the owner may read it.
            allow_null(property);
        }
    }
    schema["description"] = "One's own account.".into();
    schema
}

fn my_session(collection: &Collection) -> Json {
    let mut schema = collection.output_schema();
    schema["properties"]["current"] = json!({
        "type": "boolean",
        "description": "Whether it is the session of this request.",
    });
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("current".into());
    }
    schema["description"] = "A session of one's own.".into();
    schema
}

fn signed_in() -> Json {
    let mut schema = object(
        json!({
            "access_token": text("To be sent as `Authorization: Bearer …`."),
            "token_type": { "type": "string", "const": "Bearer" },
            "expires_in": {
                "type": "integer",
                "minimum": 1,
                "description": "Seconds until the access token ends.",
            },
            "refresh_token": text("Good for new tokens, once."),
            "user": schema_ref("Me"),
        }),
        &[
            "access_token",
            "token_type",
            "expires_in",
            "refresh_token",
            "user",
        ],
    );
    schema["description"] = "Tokens, and the account that they speak for.".into();
    schema
}

fn signed_in_answer(description: &str) -> Json {
    let mut answer = answer(description, schema_ref("SignedIn"));
    answer["headers"]["Cache-Control"] = json!({
        "description": "No cache keeps tokens.",
        "schema": { "type": "string", "const": "no-store" },
    });
    answer
}

fn account_answer(description: &str) -> Json {
    let mut answer = answer(description, schema_ref("Me"));
    answer["headers"]["ETag"] = json!({
        "description": "Revision of the account, in quotation marks.",
        "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" },
    });
    answer
}

fn answer(description: &str, schema: Json) -> Json {
    let mut answer = nothing(description);
    answer["content"] = json!({ "application/json": { "schema": schema } });
    answer
}

fn nothing(description: &str) -> Json {
    json!({
        "description": description,
        "headers": { "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } },
    })
}

fn responses(status: &str, well: Json, errors: &[u16]) -> Json {
    let mut all = Map::new();
    all.insert(status.to_owned(), well);
    for status in errors {
        let name = error_name(*status);
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        all.insert(status.to_string(), reference);
    }
    all.into()
}

/// The name of the response with a status, which every document has.
const fn error_name(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        412 => "PreconditionFailed",
        413 => "PayloadTooLarge",
        415 => "UnsupportedMediaType",
        422 => "UnprocessableContent",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalServerError",
    }
}

fn body(schema: Json, example: Option<Json>) -> Json {
    let mut media = json!({ "schema": schema });
    if let Some(example) = example {
        media["example"] = example;
    }
    json!({ "required": true, "content": { "application/json": media } })
}

fn object(properties: Json, required: &[&str]) -> Json {
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn schema_ref(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text(description: &str) -> Json {
    json!({ "type": "string", "description": description })
}

fn device() -> Json {
    json!({
        "type": ["object", "null"],
        "description": "Whatever tells the owner later which device this was; at most 4 KiB.",
    })
}

fn if_match() -> Json {
    json!({
        "name": "If-Match",
        "in": "header",
        "description": "Only if the account is at one of these revisions: tags as ETag gave them, \
                        or `*`.",
        "schema": { "type": "string" },
    })
}
