//! The plug-in's server as its users see it: the route, the settings, the hook.

use std::{
    error::Error,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A server that ends with the test.
struct Server {
    process: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Server {
    fn start() -> Result<Self> {
        let data = tempfile::tempdir()?;
        // Free now, and most likely still free in a moment.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("nubo.yaml");
        let process = Command::new(env!("CARGO_BIN_EXE_nubo-example-plugin"))
            .arg("--config")
            .arg(config)
            .current_dir(data.path())
            .env("NUBO_SERVER__LISTEN", &address)
            .env("NUBO_DATA", data.path().join("data"))
            .env("NUBO_LOG__LEVEL", "warn")
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = Self {
            process,
            address,
            _data: data,
        };
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = server.process.try_wait()? {
                return Err(format!("the server ended: {status}").into());
            }
            match server.call("GET", "/ready", None) {
                Ok((200, _)) => return Ok(server),
                _ if Instant::now() > end => return Err("the server does not get ready".into()),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// One request over a connection of its own: status and body.
    fn call(&self, method: &str, path: &str, body: Option<&Json>) -> Result<(u16, Json)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let body = body.map_or_else(String::new, Json::to_string);
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
        Ok((status, serde_json::from_str(body).unwrap_or_default()))
    }

    fn post(&self, path: &str, body: &Json) -> Result<(u16, Json)> {
        self.call("POST", path, Some(body))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended {
            eprintln!("the server cannot be ended: {error}");
        }
    }
}

#[test]
fn a_module_adds_a_route_a_section_and_a_hook() -> Result<()> {
    let server = Server::start()?;

    // The route, with the word that stands in nubo.yaml.
    let greeted = server.call("GET", "/greeting?name=Ada", None)?;
    assert_eq!(greeted, (200, json!({ "message": "Good day, Ada!" })));
    let (status, problem) = server.call("GET", "/greeting", None)?;
    assert_eq!(
        (status, &problem["code"]),
        (400, &json!("invalid_parameter"))
    );
    let (status, _) = server.post("/greeting?name=Ada", &json!({}))?;
    assert_eq!(status, 405);

    // Its part of the documentation.
    let (_, document) = server.call("GET", "/openapi.json", None)?;
    assert_eq!(
        document["paths"]["/greeting"]["get"]["operationId"],
        "greet"
    );

    let (status, user) = server.post(
        "/users",
        &json!({
            "username": "ada",
            "email": "ada@example.org",
            "password": "correct horse battery staple",
            "first_name": "Ada",
            "last_name": "Lovelace",
        }),
    )?;
    assert_eq!(status, 201, "{user}");
    let post = |content: &str| json!({ "user_id": user["id"], "content": content });

    // The hook refuses, and nothing is left behind.
    let (status, problem) = server.post("/posts", &post("Oh, Fiddlesticks!"))?;
    assert_eq!(status, 422);
    assert_eq!(problem["errors"][0]["path"], "/content");
    assert_eq!(problem["errors"][0]["code"], "banned_word");
    let (_, count) = server.call("GET", "/audit_logs/count", None)?;
    assert_eq!(count["count"], 0);

    // It changes what is written, and adds to it.
    let (status, created) = server.post("/posts", &post("  Good morning. "))?;
    assert_eq!(
        (status, &created["content"]),
        (201, &json!("Good morning."))
    );
    let (_, log) = server.call("GET", "/audit_logs", None)?;
    assert_eq!(log["data"][0]["action"], "post");
    assert_eq!(log["data"][0]["document_id"], created["id"]);

    // Neither may the word be edited in, nor does it come with a batch.
    let path = format!("/posts/{}", created["id"].as_str().ok_or("no id")?);
    let patch = json!({ "content": "fiddlesticks" });
    assert_eq!(server.call("PATCH", &path, Some(&patch))?.0, 422);
    let batch = json!([
        { "collection": "posts", "create": post("fine") },
        { "collection": "posts", "create": post("fiddlesticks") },
    ]);
    let (status, problem) = server.post("/batch", &batch)?;
    assert_eq!(status, 422);
    assert_eq!(problem["errors"][0]["path"], "/1/create/content");
    let (_, count) = server.call("GET", "/posts/count", None)?;
    assert_eq!(count["count"], 1);
    Ok(())
}
