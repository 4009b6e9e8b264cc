//! The real binary, started in a folder of its own, and a client for it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tempfile::TempDir;
use ureq::{
    Agent,
    http::{HeaderMap, Request as HttpRequest},
};

#[path = "../services/truth.rs"]
pub mod truth;

use truth::Truth;

/// No answer, start or stop takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// The setting that these tests may be run with: `none`, or the default.
pub const CACHE_DRIVER: &str = "NUBO_TIERS__CACHE__DRIVER";
/// Lines of the log that are shown where an answer is not the expected one.
const LINES_SHOWN: usize = 20;

/// A folder with a configuration, collections and data. It outlives the servers that are started in
/// it, one after the other.
#[derive(Clone)]
pub struct Site(Arc<Place>);

/// What a site consists of.
struct Place {
    folder: TempDir,
    truth: Truth,
    /// What several servers share.
    shared: Option<Shared>,
}

/// What servers share beside the truth.
enum Shared {
    Nothing,
    /// A Redis.
    Redis(String),
}

/// What servers that stand for each other sign tokens with.
const SECRET: &str = "a secret of servers that stand for each other";

impl Site {
    /// Without any collection.
    pub fn new() -> Self {
        Self::with_truth(Truth::default())
    }

    /// The same, with the truth in this database.
    #[allow(dead_code)] // Not all programs that have this file stop databases.
    pub fn on_postgres(url: &str) -> Self {
        Self::with_truth(Truth::at(url))
    }

    /// One of several servers that share a database and a Redis.
    #[allow(dead_code)] // Not all programs that have this file start several servers.
    pub fn sharing(database: &str, redis: &str) -> Self {
        let redis = Shared::Redis(redis.to_owned());
        Self::place(Truth::at(database), Some(redis))
    }

    /// One of several servers that share a database and nothing else.
    #[allow(dead_code)] // Not all programs that have this file start several servers.
    pub fn beside_others(database: &str) -> Self {
        Self::place(Truth::at(database), Some(Shared::Nothing))
    }

    fn with_truth(truth: Truth) -> Self {
        Self::place(truth, None)
    }

    fn place(truth: Truth, shared: Option<Shared>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let site = Self(Arc::new(Place {
            folder,
            truth,
            shared,
        }));
        fs::create_dir(site.path("collections")).expect("a folder for collections");
        site
    }

    /// With the collections in a folder of this repository.
    pub fn with_folder(folder: &str) -> Self {
        let site = Self::new();
        site.fill(folder);
        site
    }

    /// Adds the collections in a folder of this repository.
    pub fn fill(&self, folder: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).expect("the folder of collections") {
            let path = entry.expect("an entry of the folder").path();
            let name = path.file_name().expect("a file");
            fs::copy(&path, self.path("collections").join(name)).expect("a copy");
        }
    }

    /// With the collections in a folder of this repository, open to everybody: for what is true
    /// whoever asks.
    pub fn with_folder_opened(folder: &str) -> Self {
        let site = Self::with_folder(folder);
        let files = fs::read_dir(site.path("collections")).expect("the folder of collections");
        for entry in files {
            let path = entry.expect("an entry of the folder").path();
            let text = fs::read_to_string(&path).expect("a collection");
            fs::write(&path, opened(&text)).expect("a file");
        }
        site
    }

    /// With one collection.
    pub fn with_collection(name: &str, text: &str) -> Self {
        let site = Self::new();
        site.collection(name, text);
        site
    }

    /// Writes a collection's file.
    pub fn collection(&self, name: &str, text: &str) {
        self.file(&format!("collections/{name}.yaml"), text);
    }

    /// Writes a file.
    pub fn file(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).expect("a file");
    }

    /// A path in the folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.folder.path().join(path)
    }

    /// The binary, in this folder and with no environment of its own, but for what says whether there
    /// is a cache: every test must come out the same with it and without. Servers that share something
    /// can have none of their own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nubo"));
        command
            .args(["--data", "data"])
            .args(arguments)
            .current_dir(self.0.folder.path())
            .env_clear();
        self.0.truth.tell(&mut command);
        match (&self.0.shared, std::env::var_os(CACHE_DRIVER)) {
            (Some(Shared::Redis(redis)), _) => {
                command.env("REDIS_ADDR", redis).env("JWT_SECRET", SECRET);
            }
            (None, Some(driver)) => {
                command.env(CACHE_DRIVER, driver);
            }
            (Some(Shared::Nothing), _) | (None, None) => {}
        }
        command
    }

    /// Starts a server and waits until it answers.
    pub fn start(&self) -> Server {
        self.start_with(&[])
    }

    /// The same with further arguments.
    pub fn start_with(&self, arguments: &[&str]) -> Server {
        let mut child = self
            .command(&["--listen", "127.0.0.1:0", "serve"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let log = Log::default();
        let (found, address) = mpsc::channel();
        let reader = log.follow(child.stderr.take().expect("a pipe"), found);
        let Ok(url) = address.recv_timeout(PATIENCE) else {
            let killed = child.kill();
            panic!("the server did not start ({killed:?}):\n{log}");
        };
        let server = Server {
            child: Some(child),
            reader: Some(reader),
            client: Client::new(&url, log),
            site: self.clone(),
        };
        // It listens before it serves; the first answer says that it does.
        server.get("/ping").expect(200);
        server
    }

    /// Starts a server that is expected not to: how it ended and what it said.
    #[track_caller]
    pub fn refuse_to_start(&self, arguments: &[&str]) -> Refusal {
        let child = self
            .command(arguments)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let child = Mutex::new(child);
        let output = std::thread::scope(|scope| {
            let (done, waiting) = mpsc::channel();
            let mut stderr = child.lock().expect("a lock").stderr.take().expect("a pipe");
            scope.spawn(move || {
                let mut text = String::new();
                let read = stderr.read_to_string(&mut text);
                done.send(read.map(|_| text))
            });
            let output = waiting.recv_timeout(Duration::from_secs(20));
            if output.is_err() {
                child.lock().expect("a lock").kill().expect("a server");
            }
            output
        });
        let status = child.lock().expect("a lock").wait().expect("an end");
        let Ok(Ok(stderr)) = output else {
            panic!("the server started, which it should not have");
        };
        Refusal {
            code: status.code(),
            stderr,
        }
    }
}

/// A collection's file with rules that let everybody do everything. JSON is YAML.
fn opened(text: &str) -> String {
    let mut value = nubo::config::yaml::parse(text).expect("YAML").value;
    value["access"] = serde_json::json!({
        "read": "public", "create": "public", "update": "public", "delete": "public",
    });
    let fields = value["fields"].as_object_mut().expect("fields");
    for field in fields.values_mut().filter_map(Json::as_object_mut) {
        field.shift_remove("readable_by");
        field.shift_remove("writable_by");
    }
    value.to_string()
}

/// How a server ended that did not start.
#[derive(Debug)]
pub struct Refusal {
    pub code: Option<i32>,
    pub stderr: String,
}

/// A running server. Ends with its value.
pub struct Server {
    child: Option<Child>,
    reader: Option<JoinHandle<()>>,
    client: Client,
    site: Site,
}

impl Server {
    /// Fit for a static, whose value is never dropped: the server ends with this process.
    pub fn shared(self) -> Self {
        // It gets to the second command when the other end of its input is closed, which the
        // system does when this process ends, however it ends.
        let watch = Command::new("sh")
            .arg("-c")
            .arg("read -r _; kill -9 \"$0\"; rm -rf \"$1\"")
            .arg(self.id().to_string())
            .arg(self.site.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        std::mem::forget(watch);
        self
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        self.client.log.0.lock().expect("a lock").join("\n")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("kill")
            .arg(self.id().to_string())
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// Waits until the server has ended by itself: its exit code.
    #[track_caller]
    pub fn wait(mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let until = Instant::now() + PATIENCE;
        // Its standard error is closed when it ends.
        let reader = self.reader.take().expect("it runs");
        while !reader.is_finished() {
            if Instant::now() > until {
                child.kill().expect("a server");
                panic!("the server did not end:\n{}", self.client.log);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait().expect("an end").code()
    }

    /// Stops the server in order.
    #[track_caller]
    pub fn stop(self) {
        self.terminate();
        let log = self.client.log.clone();
        assert_eq!(self.wait(), Some(0), "the server did not end well:\n{log}");
    }

    /// Ends the server as a power cut would.
    pub fn kill(mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("a server");
        child.wait().expect("an end");
    }

    /// A client that can outlive this value.
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if std::thread::panicking() {
                eprintln!("log of the server:\n{}", self.client.log);
            }
            if child.kill().and_then(|()| child.wait()).is_err() {
                eprintln!("the server did not end");
            }
        }
    }
}

impl std::ops::Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Lines that a server wrote to standard error.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Collects lines until the pipe closes, and passes on the address that one of them names.
    fn follow(
        &self,
        pipe: impl Read + Send + 'static,
        found: mpsc::Sender<String>,
    ) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("API   http://") {
                    let end = rest.find(['"', ' ']).unwrap_or(rest.len());
                    // Whoever waited may have given up.
                    drop(found.send(format!("http://{}", &rest[..end])));
                }
                log.0.lock().expect("a lock").push(line);
            }
        })
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.0.lock().expect("a lock");
        let start = lines.len().saturating_sub(LINES_SHOWN);
        lines[start..]
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Connections that are kept alive, and no longer than this for an answer.
fn agent(limit: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(200)
        .max_idle_connections_per_host(200)
        .timeout_global(Some(limit))
        .allow_non_standard_methods(true)
        .build()
        .new_agent()
}

/// Talks to a server, over connections that are kept alive.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    url: String,
    log: Log,
}

impl Client {
    fn new(url: &str, log: Log) -> Self {
        Self {
            agent: agent(PATIENCE),
            url: url.to_owned(),
            log,
        }
    }

    /// The same for somebody who waits no longer than this for an answer.
    #[allow(dead_code)] // Not all programs that have this file stop servers.
    pub fn within(&self, limit: Duration) -> Self {
        Self {
            agent: agent(limit),
            ..self.clone()
        }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        let rest = self.url.trim_start_matches("http://");
        rest.split('/').next().unwrap_or(rest)
    }

    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request {
            client: self,
            method: method.to_owned(),
            url: format!("{}{path}", self.url),
            headers: Vec::new(),
            body: None,
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Json) -> Answer {
        self.request("POST", path).json(body).send()
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: &Json) -> Answer {
        self.request("PATCH", path).json(body).send()
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Json) -> Answer {
        self.request("PUT", path).json(body).send()
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send()
    }

    /// A document that is there: 200.
    #[track_caller]
    pub fn read(&self, collection: &str, id: &str) -> Json {
        self.get(&format!("/{collection}/{id}")).expect(200)
    }

    /// A new document: 201.
    #[track_caller]
    pub fn create(&self, collection: &str, document: &Json) -> Json {
        self.post(&format!("/{collection}"), document).expect(201)
    }

    /// The id of a new document.
    #[track_caller]
    pub fn create_id(&self, collection: &str, document: &Json) -> String {
        text(&self.create(collection, document)["id"])
    }

    /// A list: 200.
    #[track_caller]
    pub fn list(&self, collection: &str, query: &[(&str, &str)]) -> Json {
        let request = self.request("GET", &format!("/{collection}"));
        request.query(query).send().expect(200)
    }

    /// How many documents match.
    #[track_caller]
    pub fn count(&self, collection: &str, filter: &Json) -> u64 {
        let request = self.request("GET", &format!("/{collection}/count"));
        let answer = request.query(&[("filter", &filter.to_string())]).send();
        answer.expect(200)["count"].as_u64().expect("a number")
    }

    /// Sends bytes as they are, on a connection of their own, and reads until the server closes it.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        // The server may refuse what it has read so far and close.
        let written = stream.write_all(bytes);
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            answer.extend_from_slice(&chunk[..length]);
        }
        assert!(written.is_ok() || !answer.is_empty(), "{written:?}");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// The text of a JSON value.
#[track_caller]
pub fn text(json: &Json) -> String {
    json.as_str()
        .unwrap_or_else(|| panic!("no text: {json}"))
        .to_owned()
}

/// A request that is not sent yet.
pub struct Request<'a> {
    client: &'a Client,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds parameters, encoded.
    pub fn query(mut self, parameters: &[(&str, &str)]) -> Self {
        for (name, value) in parameters {
            self.url
                .push(if self.url.contains('?') { '&' } else { '?' });
            self.url.push_str(&encode(name));
            self.url.push('=');
            self.url.push_str(&encode(value));
        }
        self
    }

    pub fn json(self, body: &Json) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", kind)
    }

    /// A body of which nothing is said.
    pub fn bare_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    #[track_caller]
    pub fn send(self) -> Answer {
        let (what, log) = (
            format!("{} {}", self.method, self.url),
            self.client.log.clone(),
        );
        self.try_send()
            .unwrap_or_else(|error| panic!("{what}: {error}\n{log}"))
    }

    /// Sends it to a server that may not be there any more.
    pub fn try_send(self) -> Result<Answer, ureq::Error> {
        let what = format!("{} {}", self.method, self.url);
        let mut request = HttpRequest::builder().method(&*self.method).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let agent = &self.client.agent;
        let mut response = match self.body {
            Some(body) => agent.run(request.body(body)?)?,
            None => agent.run(request.body(())?)?,
        };
        Ok(Answer {
            what,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response
                .body_mut()
                .with_config()
                .limit(1 << 30)
                .read_to_vec()?,
            log: self.client.log.clone(),
        })
    }
}

/// Percent-encodes what is no unreserved character (RFC 3986 §2.3).
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// What the server answered.
pub struct Answer {
    what: String,
    pub status: u16,
    headers: HeaderMap,
    pub body: Vec<u8>,
    log: Log,
}

impl Answer {
    /// Its JSON, if it has this status; null where there is no body.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Json {
        assert!(
            self.status == status,
            "{}: {} instead of {status}: {}\nlog:\n{}",
            self.what,
            self.status,
            self.text(),
            self.log
        );
        match self.body.is_empty() {
            true => Json::Null,
            false => self.json(),
        }
    }

    /// The problem document, if it is one with this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Json {
        let problem = self.expect(status);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.what
        );
        assert_eq!(problem["code"], code, "{}: {problem}", self.what);
        assert_eq!(problem["status"], status, "{}: {problem}", self.what);
        assert_eq!(problem["type"], "about:blank", "{}: {problem}", self.what);
        for part in ["title", "detail"] {
            assert!(problem[part].is_string(), "{}: {problem}", self.what);
        }
        let words = self.text().to_lowercase();
        for leaked in ["sqlite", "sqlx", "panicked", ".rs:", "stack backtrace"] {
            assert!(!words.contains(leaked), "{}: {problem}", self.what);
        }
        problem
    }

    /// The same, where it finds fault with these places.
    #[track_caller]
    pub fn problem_at(&self, status: u16, code: &str, places: &[&str]) -> Json {
        let problem = self.problem(status, code);
        let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let paths: Vec<&str> = errors
            .iter()
            .filter_map(|error| error["path"].as_str())
            .collect();
        assert_eq!(paths, places, "{}: {problem}", self.what);
        problem
    }

    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
