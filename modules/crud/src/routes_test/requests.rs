//! Methods, bodies, and what else holds for every route.

use std::{
    io::{Read, Write},
    time::Duration,
};

use nubo_core::{
    caller::Caller,
    sessions::{self, Identity},
};
use poem::{
    Route,
    listener::{Acceptor, Listener, TcpListener},
};
use serde_json::json;

use super::with_posts;
use crate::{
    Settings,
    fake::{Server, id},
};

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = with_posts(3).await;
    let uri = format!("/posts/{}", id(1));
    for uri in [&*uri, "/posts", "/posts?page=1", "/posts/count", "/posts/x"] {
        let get = server.send("GET", uri).await;
        let head = server.send("HEAD", uri).await;
        assert_eq!(head.status, get.status, "{uri}");
        assert!(head.body.is_empty());
        assert_eq!(head.header("etag"), get.header("etag"));
        let length = get.body.len().to_string();
        assert_eq!(head.header("content-length"), Some(&*length));
    }
    let headers = [("if-none-match", "*")];
    let head = server.send_with("HEAD", &uri, &headers, "").await;
    assert_eq!((head.status, head.header("content-length")), (304, None));
}

#[tokio::test]
async fn every_path_says_what_it_answers() {
    let server = Server::new();
    let one = format!("/posts/{}", id(1));
    let log = format!("/logs/{}", id(1));
    for (uri, method, allow) in [
        ("/posts", "PUT", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
        (&*one, "POST", "GET, HEAD, PATCH, PUT, DELETE, OPTIONS"),
        ("/posts/query", "GET", "POST, OPTIONS"),
        ("/posts/count", "POST", "GET, HEAD, OPTIONS"),
        ("/posts/bulk", "PATCH", "POST, OPTIONS"),
        ("/batch", "GET", "POST, OPTIONS"),
        ("/logs", "DELETE", "GET, HEAD, POST, OPTIONS"),
        ("/logs", "PATCH", "GET, HEAD, POST, OPTIONS"),
        (&*log, "PUT", "GET, HEAD, OPTIONS"),
        (&*log, "PATCH", "GET, HEAD, OPTIONS"),
        (&*log, "DELETE", "GET, HEAD, OPTIONS"),
        ("/posts", "PURGE", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
    ] {
        let refused = server.send(method, uri).await;
        assert_eq!(refused.status, 405, "{method} {uri}");
        assert_eq!(refused.header("allow"), Some(allow));
        assert_eq!(refused.code(), "method_not_allowed");
        let options = server.send("OPTIONS", uri).await;
        assert_eq!(
            (options.status, options.header("allow")),
            (204, Some(allow))
        );
    }
}

#[tokio::test]
async fn bodies_are_json_and_say_so() {
    let server = Server::new();
    let json = ("content-type", "application/json");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let cases: [Case<'_>; 10] = [
        (&[json], b"", 400, "empty_body"),
        (&[], b"", 400, "empty_body"),
        (&[], b"{}", 415, "unsupported_media_type"),
        (
            &[("content-type", "text/plain")],
            b"{}",
            415,
            "unsupported_media_type",
        ),
        (
            &[json, ("content-encoding", "gzip")],
            b"{}",
            415,
            "unsupported_media_type",
        ),
        (&[json], b"{", 400, "malformed_json"),
        (&[json], b"\xff", 400, "malformed_json"),
        (
            &[json],
            b"{\"title\":\"a\",\"title\":\"b\"}",
            400,
            "duplicate_key",
        ),
        (&[json], b"[]", 422, "invalid"),
        (
            &[json, ("content-length", "1001")],
            b"{}",
            413,
            "payload_too_large",
        ),
    ];
    for (headers, body, status, code) in cases {
        let answer = server.send_with("POST", "/posts", headers, body).await;
        assert_eq!((answer.status, &*answer.code()), (status, code), "{body:?}");
    }
    let large = format!("{}{{}}", " ".repeat(1000));
    let answer = server.send_with("POST", "/posts", &[json], large).await;
    assert_eq!(answer.status, 413);
    let parameter = server
        .json("POST", "/posts?a=1", json!({"title": "a"}))
        .await;
    assert_eq!(
        (parameter.status, &*parameter.code()),
        (400, "unknown_parameter")
    );
}

/// What only a connection shows: the prefix of the server in Location, and that nothing follows the
/// head of an answer to HEAD.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_right_on_the_wire() {
    let acceptor = TcpListener::bind("127.0.0.1:0")
        .into_acceptor()
        .await
        .unwrap();
    let address = *acceptor.local_addr()[0].as_socket_addr().unwrap();
    let server = Server::new();
    let route = Route::new().nest("/api", server.route);
    let served = tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(route));
    let asked = tokio::task::spawn_blocking(move || {
        let id = id(1);
        let request = format!(
            "POST /api/posts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: 13\r\n\r\n{{\"title\":\"a\"}}\
             HEAD /api/posts/{id} HTTP/1.1\r\nHost: x\r\n\r\n\
             POST /api/posts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\nD\r\n{{\"title\":\"b\"}}\r\n0\r\n\r\n\
             GET /api/posts/count?filter[title]=b HTTP/1.1\r\nHost: x\r\n\
             Connection: close\r\n\r\n"
        );
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers
    });
    let answers = asked.await.unwrap();
    served.abort();
    let heads: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(heads.len(), 4, "{answers}");
    assert!(
        heads[0].contains(&format!("location: /api/posts/{}\r\n", id(1))),
        "{answers}"
    );
    let (head, body) = heads[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("201"));
    let (head, nothing) = heads[1].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("200") && nothing.is_empty(), "{answers}");
    assert!(
        head.contains(&format!("content-length: {}\r\n", body.len())),
        "{answers}"
    );
    assert!(heads[2].starts_with("201"));
    assert!(heads[3].ends_with("\r\n\r\n{\"count\":1}"), "{answers}");
}

#[test]
fn a_request_is_made_by_whoever_its_token_named() {
    let mut request = poem::Request::default();
    assert_eq!(sessions::caller(&request).unwrap(), Caller::Anonymous);
    let refused = Identity::Refused("expired_token", "the access token has expired".into());
    request.set_data(refused);
    let error = sessions::caller(&request).unwrap_err();
    assert_eq!(error.code(), "expired_token");
}

#[test]
fn limits_must_make_sense() {
    let settings = Settings {
        default_limit: 300,
        ..Settings::default()
    };
    assert!(settings.check().is_err());
    assert!(Settings::default().check().is_ok());
}
