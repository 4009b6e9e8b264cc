//! Access tokens: what is forged, old or meant for somebody else opens nothing.

use std::os::unix::fs::PermissionsExt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use crate::{CONFIGURATION, Person, server::Server, shared, site, with_token};

const SECRET: &str = "a secret that has well over thirty-two bytes";

/// A token with a header and claims of our own, signed with a key.
fn sign(header: &Json, claims: &Json, key: &[u8]) -> String {
    let part = |json: &Json| BASE64.encode(json.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()))
}

fn claims(token: &str) -> Json {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
}

fn with_secret(more: &str) -> Server {
    let configuration = format!("{CONFIGURATION}  jwt_secret: \"{SECRET}\"\n{more}");
    site(&configuration).start()
}

#[test]
fn a_token_says_what_it_should() {
    let person = Person::signed_up(shared());
    let header: Json = {
        let part = person.access.split('.').next().unwrap();
        serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
    };
    assert_eq!(header["alg"], "HS256");
    let claims = claims(&person.access);
    assert_eq!(claims["sub"], person.id.as_str());
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 900);
    for claim in ["sid", "jti", "iss", "aud"] {
        assert!(claims[claim].is_string(), "{claim}: {claims}");
    }
}

#[test]
fn each_wrong_token_is_told_apart() {
    let server = with_secret("");
    let person = Person::signed_up(&server);
    let good = claims(&person.access);
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let key = SECRET.as_bytes();
    // Whoever knows the secret can make them: the way of signing is ours.
    let same = sign(&hs256, &good, key);
    with_token(&server, "GET", "/me", &same).expect(200);

    let changed = |claim: &str, value: Json| {
        let mut claims = good.clone();
        claims[claim] = value;
        sign(&hs256, &claims, key)
    };
    let part = |json: &Json| BASE64.encode(json.to_string());
    let none = json!({ "alg": "none" });
    let (head, _) = person.access.rsplit_once('.').unwrap();
    for (token, code) in [
        ("nonsense".to_owned(), "malformed_token"),
        ("a.b.c".to_owned(), "malformed_token"),
        (
            format!("{}.{}.", part(&none), part(&good)),
            "malformed_token",
        ),
        (sign(&none, &good, key), "malformed_token"),
        (
            sign(&json!({ "alg": "HS512" }), &good, key),
            "invalid_signature",
        ),
        (
            sign(&json!({ "alg": "RS256" }), &good, key),
            "invalid_signature",
        ),
        (
            sign(&hs256, &good, b"another key, which is long enough too"),
            "invalid_signature",
        ),
        (sign(&hs256, &good, b""), "invalid_signature"),
        (format!("{head}.AAAA"), "invalid_signature"),
        (changed("exp", 1_000_000_000.into()), "expired_token"),
    ] {
        let answer = with_token(&server, "GET", "/me", &token);
        answer.problem(401, code);
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        assert!(challenge.contains(code), "{challenge}");
    }
    for token in [
        changed("iss", "somebody".into()),
        changed("aud", "somewhere".into()),
        changed("sub", "01a2012f-5854-70b7-ad8d-85a0ee6fc9d0".into()),
        changed("sid", "01a2012f-5854-70b7-ad8d-85a0ee6fc9d0".into()),
        changed("exp", "soon".into()),
        changed("sub", Json::Null),
    ] {
        with_token(&server, "GET", "/me", &token).expect(401);
    }
    let answer = server.get("/me");
    answer.problem(401, "missing_token");
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"nubo\"")
    );
    let basic = server
        .request("GET", "/me")
        .header("authorization", "Basic YTpi");
    basic.send().problem(401, "malformed_token");
}

#[test]
fn an_old_token_is_refused_where_one_is_needed_and_nowhere_else() {
    let server = with_secret("");
    let person = Person::signed_up(&server);
    let mut old = claims(&person.access);
    old["exp"] = 1_000_000_000.into();
    let old = sign(&json!({ "alg": "HS256" }), &old, SECRET.as_bytes());
    with_token(&server, "GET", "/posts", &old).problem(401, "expired_token");
    with_token(&server, "GET", "/ping", &old).expect(200);
    // A client that always sends what it has must be able to get a new one.
    let bearer = format!("Bearer {old}");
    let refresh = server
        .request("POST", "/refresh")
        .header("authorization", &bearer);
    let body = json!({ "refresh_token": person.refresh });
    refresh.json(&body).send().expect(200);
}

#[test]
fn the_secret_can_be_changed_without_signing_anybody_out() {
    let site = site(&format!("{CONFIGURATION}  jwt_secret: \"{SECRET}\"\n"));
    let server = site.start();
    let person = Person::signed_up(&server);
    server.stop();
    let next = "another secret that has well over thirty-two bytes";
    let rotated =
        format!("{CONFIGURATION}  jwt_secret: \"{next}\"\n  previous_secrets: [\"{SECRET}\"]\n");
    site.file("nubo.yaml", &rotated);
    let server = site.start();
    person.asks(&server, "GET", "/me").expect(200);
    let body = json!({ "refresh_token": person.refresh });
    let fresh = Person::from_tokens(&person, &server.post("/refresh", &body).expect(200));
    server.stop();
    site.file(
        "nubo.yaml",
        &format!("{CONFIGURATION}  jwt_secret: \"{next}\"\n"),
    );
    let server = site.start();
    fresh.asks(&server, "GET", "/me").expect(200);
    person
        .asks(&server, "GET", "/me")
        .problem(401, "invalid_signature");
}

impl Person {
    fn from_tokens(person: &Self, answer: &Json) -> Self {
        Self {
            access: crate::server::text(&answer["access_token"]),
            refresh: crate::server::text(&answer["refresh_token"]),
            ..person.clone()
        }
    }
}

#[test]
fn a_secret_of_its_own_is_kept_where_only_the_server_reads_it() {
    let site = site(CONFIGURATION);
    let server = site.start();
    Person::signed_up(&server);
    server.stop();
    let mode = |path: &str| {
        let metadata = std::fs::metadata(site.path(path)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    if !crate::server::truth::is_postgres() {
        assert_eq!(mode("data/nubo.db"), 0o600);
    }
    assert_eq!(mode("data/jwt_secret"), 0o600);
    let path = site.path("data/jwt_secret");
    assert!(std::fs::read(&path).unwrap().len() >= 32);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let refusal = site.refuse_to_start(&[]);
    assert!(refusal.stderr.contains("jwt_secret"), "{}", refusal.stderr);
}

#[test]
fn a_short_secret_is_refused() {
    let site = site(&format!("{CONFIGURATION}  jwt_secret: short\n"));
    let refusal = site.refuse_to_start(&[]);
    assert!(refusal.stderr.contains("32"), "{}", refusal.stderr);
    assert!(!refusal.stderr.contains("short\""), "{}", refusal.stderr);
}

#[test]
fn tokens_for_tests_are_given_only_where_that_is_wanted() {
    let person = Person::signed_up(shared());
    let path = format!("/token?sub={}", person.id);
    shared().get(&path).expect(404);

    let site = site(&format!("{CONFIGURATION}  dev_tokens: true\n"));
    let output = site.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("nubo.yaml:4:"), "{said}");
    assert!(said.contains("warning"), "{said}");
    let server = site.start();
    let person = Person::signed_up(&server);
    let answer = server.get(&format!("/token?sub={}", person.id)).expect(200);
    let token = crate::server::text(&answer["access_token"]);
    let me = with_token(&server, "GET", "/me", &token).expect(200);
    assert_eq!(me["id"], person.id.as_str());
    let stranger = "01a2012f-5854-70b7-ad8d-85a0ee6fc9d0";
    let answer = server.get(&format!("/token?sub={stranger}"));
    assert!(answer.status >= 400, "{}", answer.status);
}
