//! The part of the OpenAPI document.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::fake::{Server, account, quick};

async fn fragment(dev_tokens: bool) -> (Server, Json) {
    let mut settings = quick();
    settings["dev_tokens"] = dev_tokens.into();
    let server = Server::with(settings).await;
    let fragment = server.openapi[0].clone();
    (server, fragment)
}

fn operations(fragment: &Json) -> Vec<(String, String, Json)> {
    let paths = fragment["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.clone(), method.clone(), operation.clone()))
    });
    all.collect()
}

#[tokio::test]
async fn every_operation_is_there() {
    let (_, fragment) = fragment(true).await;
    let ids: BTreeSet<String> = operations(&fragment)
        .iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "changePassword",
        "deleteMe",
        "endMySession",
        "getMe",
        "issueTestToken",
        "listMySessions",
        "logIn",
        "logOut",
        "refresh",
        "signUp",
        "updateMe",
    ];
    assert_eq!(ids, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn what_needs_a_token_says_so_and_the_rest_too() {
    let (server, fragment) = fragment(true).await;
    for (path, method, operation) in operations(&fragment) {
        let path = path.replace("{id}", "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11");
        let answer = server.send(&method.to_uppercase(), &path, "", None).await;
        let secured = operation["security"] == json!([{ "bearer": [] }]);
        assert_eq!(answer.status == 401, secured, "{method} {path}");
        assert!(secured || operation["security"] == json!([]));
        let listed = operation["responses"].as_object().unwrap();
        assert!(
            listed.contains_key(&answer.status.to_string()),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn answers_look_as_described() {
    let (server, fragment) = fragment(false).await;
    assert!(fragment["paths"].get("/token").is_none());
    let schemas = &fragment["components"]["schemas"];
    let keys =
        |json: &Json| -> BTreeSet<String> { json.as_object().unwrap().keys().cloned().collect() };
    let signed_up = server.sign_up("ada").await;
    assert_eq!(
        keys(&signed_up.json()),
        keys(&schemas["SignedIn"]["properties"])
    );
    assert_eq!(
        keys(&signed_up.json()["user"]),
        keys(&schemas["Me"]["properties"])
    );
    let sessions = server.get("/me/sessions", &signed_up.access()).await.json();
    assert_eq!(
        keys(&sessions["data"][0]),
        keys(&schemas["MySession"]["properties"])
    );

    let body = &fragment["paths"]["/signup"]["post"]["requestBody"]["content"]["application/json"];
    let required: BTreeSet<&str> = body["schema"]["required"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r.as_str().unwrap())
        .collect();
    let sent = account("ada");
    assert_eq!(
        required,
        sent.as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect()
    );
}
