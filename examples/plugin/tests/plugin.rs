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
    data: tempfile::TempDir,
}

/// Whoever asks: nobody, or an account with its access token.
type Token<'a> = Option<&'a str>;

const PASSWORD: &str = "correct horse battery staple";

/// The program with the example's settings, and passwords that are cheap to hash.
fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nubo-example-plugin"));
    command
        .arg("--config")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("nubo.yaml"))
        .current_dir(data)
        .env("NUBO_DATA", data.join("data"))
        .env("NUBO_LOG__LEVEL", "warn")
        .env("NUBO_AUTH__PASSWORDS__MEMORY_KIB", "64")
        .env("NUBO_AUTH__PASSWORDS__ITERATIONS", "1")
        .stdout(Stdio::null());
    command
}

impl Server {
    fn start() -> Result<Self> {
        let data = tempfile::tempdir()?;
        // Free now, and most likely still free in a moment.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let process = program(data.path())
            .env("NUBO_SERVER__LISTEN", &address)
            .spawn()?;
        let mut server = Self {
            process,
            address,
            data,
        };
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = server.process.try_wait()? {
                return Err(format!("the server ended: {status}").into());
            }
            match server.call(None, "GET", "/ready", None) {
                Ok((200, _)) => return Ok(server),
                _ if Instant::now() > end => return Err("the server does not get ready".into()),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// One request over a connection of its own: status and body.
    fn call(
        &self,
        token: Token<'_>,
        method: &str,
        path: &str,
        body: Option<&Json>,
    ) -> Result<(u16, Json)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let body = body.map_or_else(String::new, Json::to_string);
        let authorization = token.map_or_else(String::new, |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{authorization}\
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

    fn post(&self, token: Token<'_>, path: &str, body: &Json) -> Result<(u16, Json)> {
        self.call(token, "POST", path, Some(body))
    }

    /// An account like any other: its access token and its id.
    fn sign_up(&self, name: &str) -> Result<(String, String)> {
        let account = json!({
            "username": name,
            "email": format!("{name}@example.org"),
            "password": PASSWORD,
            "first_name": name,
            "last_name": "Example",
        });
        tokens(self.post(None, "/signup", &account)?, 201)
    }

    /// An account with the role `admin`, made as whoever runs the server does it.
    fn admin(&self, name: &str) -> Result<String> {
        let mut command = program(self.data.path())
            .args(["users", "create", "--role", "admin", "--password-stdin"])
            .arg(format!("username={name}"))
            .arg(format!("email={name}@example.org"))
            .args(["first_name=Example", "last_name=Admin"])
            .stdin(Stdio::piped())
            .spawn()?;
        let mut input = command.stdin.take().ok_or("no standard input")?;
        input.write_all(PASSWORD.as_bytes())?;
        drop(input);
        let status = command.wait()?;
        if !status.success() {
            return Err(format!("no admin was made: {status}").into());
        }
        let login = json!({ "identifier": name, "password": PASSWORD });
        Ok(tokens(self.post(None, "/login", &login)?, 200)?.0)
    }
}

/// The access token of an answer and the id of its account.
fn tokens((status, answer): (u16, Json), expected: u16) -> Result<(String, String)> {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    match (text(&answer["access_token"]), text(&answer["user"]["id"])) {
        (Some(token), Some(id)) if status == expected => Ok((token, id)),
        _ => Err(format!("no tokens: {status} {answer}").into()),
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
    let greeted = server.call(None, "GET", "/greeting?name=Ada", None)?;
    assert_eq!(greeted, (200, json!({ "message": "Good day, Ada!" })));
    let (status, problem) = server.call(None, "GET", "/greeting", None)?;
    assert_eq!(
        (status, &problem["code"]),
        (400, &json!("invalid_parameter"))
    );
    let (status, _) = server.post(None, "/greeting?name=Ada", &json!({}))?;
    assert_eq!(status, 405);

    // Its part of the documentation.
    let (_, document) = server.call(None, "GET", "/openapi.json", None)?;
    assert_eq!(
        document["paths"]["/greeting"]["get"]["operationId"],
        "greet"
    );

    let (ada, id) = server.sign_up("ada")?;
    let ada = Some(ada.as_str());
    let admin = server.admin("root")?;
    let admin = Some(admin.as_str());
    let post = |content: &str| json!({ "user_id": id, "content": content });

    // The hook refuses, and nothing is left behind.
    let (status, problem) = server.post(ada, "/posts", &post("Oh, Fiddlesticks!"))?;
    assert_eq!(status, 422);
    assert_eq!(problem["errors"][0]["path"], "/content");
    assert_eq!(problem["errors"][0]["code"], "banned_word");
    let (status, count) = server.call(admin, "GET", "/audit_logs/count", None)?;
    assert_eq!((status, &count["count"]), (200, &json!(0)));

    // It changes what is written, and adds to it.
    let (status, created) = server.post(ada, "/posts", &post("  Good morning. "))?;
    assert_eq!(
        (status, &created["content"]),
        (201, &json!("Good morning."))
    );
    let (_, log) = server.call(admin, "GET", "/audit_logs", None)?;
    assert_eq!(log["data"][0]["action"], "post");
    assert_eq!(log["data"][0]["document_id"], created["id"]);

    // The module wrote it; whoever posts may neither write to the log nor read it.
    let (status, seen) = server.call(ada, "GET", "/audit_logs", None)?;
    assert_eq!((status, &seen["data"]), (200, &json!([])));
    let entry = json!({ "action": "post" });
    assert_eq!(server.post(ada, "/audit_logs", &entry)?.0, 403);
    assert_eq!(server.post(None, "/posts", &post("fine"))?.0, 401);

    // Neither may the word be edited in, nor does it come with a batch.
    let path = format!("/posts/{}", created["id"].as_str().ok_or("no id")?);
    let patch = json!({ "content": "fiddlesticks" });
    assert_eq!(server.call(ada, "PATCH", &path, Some(&patch))?.0, 422);
    let batch = json!([
        { "collection": "posts", "create": post("fine") },
        { "collection": "posts", "create": post("fiddlesticks") },
    ]);
    let (status, problem) = server.post(ada, "/batch", &batch)?;
    assert_eq!(status, 422);
    assert_eq!(problem["errors"][0]["path"], "/1/create/content");
    let (_, count) = server.call(ada, "GET", "/posts/count", None)?;
    assert_eq!(count["count"], 1);
    Ok(())
}
