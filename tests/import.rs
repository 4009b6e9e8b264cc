//! `nubo import` and `nubo export`, as somebody at a terminal meets them.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

#[path = "import/rebuild.rs"]
mod rebuild;
#[path = "services/truth.rs"]
mod truth;

use truth::Truth;

const FILMS: &str = "
name: films
order: title
fields:
  title: { type: text, min_length: 2 }
  released: date!
  rating: { type: float, min: 0, max: 10 }
  gross: bigint
  tags: \"text[]\"
  meta: json
  imdb: { type: text, unique: true }
  sequel_of: ref(films)
access: { read: public }
";

const MEMBERS: &str = "
name: members
fields:
  name: text!
  password: { type: password, required: true, min_length: 8 }
  note: { type: text, hidden: true, default: kept }
";

const MAPPING: &str = "
key: [title, released]
fields:
  title: { from: \"Title\", as: text }
  released: { from: \"Release Date\", date: \"%b %d %Y\" }
  rating: Rating
";

/// A folder with a configuration and data of its own.
struct Site(TempDir, Truth);

impl Site {
    fn new() -> Self {
        Self::with(Truth::default())
    }

    fn with(truth: Truth) -> Self {
        let site = Self(TempDir::new().expect("a temporary folder"), truth);
        fs::create_dir(site.path("collections")).expect("a folder");
        site.file("nubo.yaml", "log: { level: error }\n");
        site.file("collections/films.yaml", FILMS);
        site.file("collections/members.yaml", MEMBERS);
        site.file("mapping.yaml", MAPPING);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nubo"));
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env_clear();
        self.1.tell(&mut command);
        command
    }

    /// Runs a command to its end.
    fn run(&self, line: &str) -> Ran {
        Ran::from(self.command(line).output().expect("the binary runs"))
    }

    /// The same with something on standard input.
    fn pipe(&self, line: &str, input: &str) -> Ran {
        let (child, mut stdin) = start(&mut self.command(line));
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        Ran::from(child.wait_with_output().expect("the binary ends"))
    }

    /// The documents of a collection, without what the server gives.
    fn documents(&self, collection: &str) -> Vec<Json> {
        let exported = self.run(&format!("export --collection {collection}"));
        assert_eq!(exported.code, 0, "{exported:?}");
        documents(&exported.out)
    }
}

/// Starts a command that reads what it is given here.
fn start(command: &mut Command) -> (Child, ChildStdin) {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::piped()).spawn().expect("it runs");
    let stdin = child.stdin.take().expect("a pipe");
    (child, stdin)
}

#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Ran {
    /// The summary without the times.
    fn summary(&self) -> &str {
        self.out.split(" (").next().unwrap_or_default().trim_end()
    }
}

fn documents(ndjson: &str) -> Vec<Json> {
    let parse = |line: &str| -> Json { serde_json::from_str(line).expect("a document per line") };
    ndjson.lines().map(parse).map(without_times).collect()
}

fn without_times(mut document: Json) -> Json {
    for name in ["created_at", "updated_at", "_rev"] {
        let given = document
            .as_object_mut()
            .expect("an object")
            .shift_remove(name);
        assert!(given.is_some(), "{name}");
    }
    document
}

fn titles(documents: &[Json]) -> Vec<&Json> {
    let mut titles: Vec<_> = documents
        .iter()
        .map(|document| &document["title"])
        .collect();
    titles.sort_by_key(|title| title.to_string());
    titles
}

#[test]
fn a_foreign_file_becomes_documents_and_comes_again_without_harm() {
    let site = Site::new();
    site.file(
        "films.json",
        r#"[
  {"Title": "Ran", "Release Date": "Jun 1 1985", "Rating": 8.2, "Other": 1},
  {"Title": 300, "Release Date": "Mar 09 2007", "Rating": null},
  {"Title": null, "Release Date": "Mar 09 2007"},
  {"Title": "", "Release Date": "Mar 09 2007"}
]"#,
    );
    let command = "import films.json --collection films --mapping mapping.yaml";
    let refused = site.run(command);
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (1, "films.json:5: /title must have at least 2 characters\n"),
        "{refused:?}"
    );
    assert_eq!(refused.out, "films: nothing was imported, 1 rejected\n");
    assert_eq!(site.documents("films"), Vec::<Json>::new());

    let text = fs::read_to_string(site.path("films.json")).unwrap();
    site.file("films.json", &text.replace("\"\"", "\"Ikiru\""));
    let imported = site.run(command);
    assert_eq!(
        (imported.code, imported.err.as_str()),
        (0, ""),
        "{imported:?}"
    );
    assert_eq!(
        imported.summary(),
        "films: 4 created, 0 updated, 0 unchanged, 0 rejected"
    );
    let first = site.documents("films");
    assert_eq!(
        titles(&first),
        [&json!("300"), &json!("Ikiru"), &json!("Ran"), &json!(null)]
    );
    let ran = first.iter().find(|film| film["title"] == "Ran").unwrap();
    assert_eq!(
        (&ran["released"], &ran["rating"]),
        (&json!("1985-06-01"), &json!(8.2))
    );

    site.file(
        "films.json",
        &text.replace("8.2", "8.3").replace("\"\"", "\"Ikiru\""),
    );
    let again = site.run(command);
    assert_eq!(
        again.summary(),
        "films: 0 created, 1 updated, 3 unchanged, 0 rejected"
    );
    let ids = |films: &[Json]| {
        films
            .iter()
            .map(|film| film["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&site.documents("films")), ids(&first));
}

#[test]
fn what_was_exported_can_be_imported() {
    let site = Site::new();
    let rows = [
        json!({"id": "00000000-0000-4000-8000-000000000001", "title": "Sanjuro \u{2028}\n\"", "released": "1962-01-01",
            "sequel_of": "00000000-0000-4000-8000-000000000002", "gross": "9007199254740993",
            "tags": ["a", "b"], "meta": {"a": [1, null, {"b": "x,\n"}]}, "rating": 8.1}),
        json!({"id": "00000000-0000-4000-8000-000000000002", "title": "Yojimbo", "released": "1961-04-25"}),
    ];
    let input: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let imported = site.pipe("import - --collection films", &input);
    assert_eq!(imported.code, 0, "{imported:?}");
    let stored = site.documents("films");
    assert_eq!(stored[0]["gross"], json!("9007199254740993"));

    for (format, file) in [("ndjson", "out.ndjson"), ("json", "out.json")] {
        let exported = site.run(&format!(
            "export --collection films --format {format} --output {file}"
        ));
        assert_eq!(
            (exported.code, exported.out.as_str()),
            (0, ""),
            "{exported:?}"
        );
        assert!(
            exported.err.starts_with("films: 2 documents"),
            "{exported:?}"
        );
        let other = Site::new();
        fs::copy(site.path(file), other.path(file)).unwrap();
        for expected in ["2 created, 0 updated, 0", "0 created, 0 updated, 2"] {
            let imported = other.run(&format!("import {file} --collection films"));
            assert_eq!(
                imported.summary(),
                format!("films: {expected} unchanged, 0 rejected")
            );
        }
        assert_eq!(other.documents("films"), stored);
    }
    let array: Json = serde_json::from_slice(&fs::read(site.path("out.json")).unwrap()).unwrap();
    assert_eq!(array.as_array().map(Vec::len), Some(2));

    let some = site.run(r#"export --collection films --filter {"title":"Yojimbo"}"#);
    assert_eq!(documents(&some.out), &stored[1..]);
    let wrong = site.run(r#"export --collection films --filter {"titel":"Yojimbo"}"#);
    assert!(wrong.err.contains("did you mean `title`?"), "{wrong:?}");
    let all = site.run("export --all backup --format json");
    assert_eq!(all.code, 0, "{all:?}");
    assert_eq!(
        fs::read_to_string(site.path("backup/members.json")).unwrap(),
        "[\n\n]\n"
    );
    let left = fs::read_dir(site.path("backup")).unwrap().count();
    assert_eq!(left, 2, "nothing but the exports");
}

#[test]
fn exports_go_from_page_to_page() {
    let site = Site::new();
    let rows: String = (0..1203)
        .map(|number| format!("{{\"title\":\"film {number}\",\"released\":\"2000-01-01\"}}\n"))
        .collect();
    let imported = site.pipe("import - --collection films --key title --batch 7", &rows);
    assert_eq!(
        imported.summary(),
        "films: 1203 created, 0 updated, 0 unchanged, 0 rejected"
    );
    let documents = site.documents("films");
    assert_eq!(documents.len(), 1203);
    let ids: Vec<_> = documents
        .iter()
        .map(|film| film["id"].to_string())
        .collect();
    assert!(ids.is_sorted());
}

#[test]
fn passwords_and_hidden_fields_stay() {
    let site = Site::new();
    let member =
        r#"{"id":"00000000-0000-4000-8000-000000000001","name":"Ada","password":"correct horse"}"#;
    let imported = site.pipe("import - --collection members", member);
    assert_eq!(imported.code, 0, "{imported:?}");
    let exported = site.run("export --collection members");
    assert!(
        !exported.out.contains("password") && !exported.out.contains("kept"),
        "{exported:?}"
    );
    // Where the member is, the password stays.
    let again = site.pipe(
        "import - --collection members",
        &exported.out.replace("Ada", "Eva"),
    );
    assert_eq!(
        again.summary(),
        "members: 0 created, 1 updated, 0 unchanged, 0 rejected",
        "{again:?}"
    );
    // Where there is none, nobody can know it.
    let other = Site::new();
    let refused = other.pipe("import - --collection members", &exported.out);
    assert!(
        refused
            .err
            .contains("<stdin>:1: /password is required (exports"),
        "{refused:?}"
    );
    let imported = other.pipe(
        "import - --collection members --random-passwords",
        &exported.out,
    );
    assert_eq!(
        imported.summary(),
        "members: 1 created, 0 updated, 0 unchanged, 0 rejected"
    );
}

#[test]
fn all_or_nothing_unless_asked_to_keep_going() {
    let site = Site::new();
    let rows = r#"{"title": "Ran", "released": "1985-06-01", "imdb": "tt1"}
{"title": "Ikiru", "released": "soon"}

{"titel": "Stray Dog", "released": "1949-10-17", "rating": 11}
{"title": "Yojimbo", "released": "1961-04-25"
{"title": "Copy", "released": "1985-06-01", "imdb": "tt1"}
{"title": "Orphan", "released": "1985-06-01", "sequel_of": "00000000-0000-4000-8000-000000000001"}
{"title": "Sanjuro", "released": "1962-01-01"}
"#;
    site.file("films.ndjson", rows);
    let refused = site.run("import films.ndjson --collection films");
    assert_eq!(refused.code, 1);
    let lines: Vec<_> = refused.err.lines().collect();
    assert_eq!(lines.len(), 3, "{refused:?}");
    assert!(
        lines[0].starts_with("films.ndjson:2: /released is not a date"),
        "{refused:?}"
    );
    assert!(
        lines[1].starts_with("films.ndjson:4: /titel unknown field"),
        "{refused:?}"
    );
    assert!(
        lines[1].contains("; /rating must be at most 10"),
        "{refused:?}"
    );
    assert!(
        lines[2].starts_with("films.ndjson:5: is no JSON"),
        "{refused:?}"
    );
    assert_eq!(site.documents("films"), Vec::<Json>::new());

    // What only the database can know is told with its line too.
    let kept: String = rows
        .lines()
        .enumerate()
        .map(|(index, line)| format!("{}\n", if [1, 3, 4].contains(&index) { "" } else { line }))
        .collect();
    site.file("kept.ndjson", &kept);
    let refused = site.run("import kept.ndjson --collection films");
    assert_eq!(refused.err, "kept.ndjson:6: /imdb is taken already\n");
    assert_eq!(site.documents("films"), Vec::<Json>::new());

    let imported = site.run("import films.ndjson --collection films --keep-going");
    assert_eq!(imported.code, 1);
    assert_eq!(
        imported.summary(),
        "films: 2 created, 0 updated, 0 unchanged, 5 rejected",
        "{imported:?}"
    );
    for line in [2, 4, 5, 6, 7] {
        assert!(
            imported.err.contains(&format!("films.ndjson:{line}: ")),
            "{imported:?}"
        );
    }
    assert_eq!(
        titles(&site.documents("films")),
        [&json!("Ran"), &json!("Sanjuro")]
    );
}

#[test]
fn a_batch_is_written_after_the_ones_before_it() {
    let site = Site::new();
    let id = |number: usize| format!("00000000-0000-7000-8000-{number:012}");
    let film = |number: usize, before: Option<usize>| {
        json!({
            "id": id(number),
            "title": format!("Part {number}"),
            "released": "1954-04-26",
            "sequel_of": before.map(id),
        })
    };
    // Each film refers to the one before it, which is mostly in another batch.
    let mut rows: Vec<Json> = (1..=100)
        .map(|number| film(number, (number > 1).then(|| number - 1)))
        .collect();
    rows.push(film(1, None));
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    site.file("parts.ndjson", &lines);
    let line = "import parts.ndjson --collection films --batch 3 --keep-going";
    for expected in [
        "films: 100 created, 0 updated, 0 unchanged, 1 rejected",
        "films: 0 created, 0 updated, 100 unchanged, 1 rejected",
    ] {
        let imported = site.run(line);
        assert_eq!(imported.summary(), expected, "{imported:?}");
        assert_eq!(
            imported.err,
            "parts.ndjson:101: is the same document as line 1\n"
        );
    }
}

#[test]
fn mistakes_on_the_command_line_and_in_the_mapping_are_explained() {
    let site = Site::new();
    site.file("films.json", "[]");
    site.file(
        "wrong.yaml",
        "fields:\n  titel: Title\n  released: { date: '%b %Q' }\n",
    );
    for (line, expected) in [
        (
            "import films.json --collection filsm",
            "did you mean `films`?",
        ),
        ("import no.json --collection films", "cannot read no.json"),
        (
            "import films.json --collection films --key titel",
            "--key: unknown field `titel`",
        ),
        (
            "import films.json --collection films --mapping wrong.yaml",
            "wrong.yaml:2:3: unknown field `titel` in films (did you mean `title`?)\n\
             wrong.yaml:3:21: `%Q` means nothing",
        ),
        (
            "import films.json --collection films --format ndjson",
            ":1: must be an object, not a list",
        ),
        ("export --collection filsm", "did you mean `films`?"),
        (
            "export --collection films --output no/films.json",
            "cannot write no/films.json",
        ),
    ] {
        let ran = site.run(line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert!(ran.err.contains(expected), "{line}: {ran:?}");
    }
    // A column that no row has is worth a word.
    site.file(
        "films.json",
        r#"[{"Titel": "Ran", "Release Date": "Jun 1 1985"}]"#,
    );
    let ran = site.run("import films.json --collection films --mapping mapping.yaml");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains(
            "mapping.yaml:4:18: warning: no row has a column `Title` (did you mean `Titel`?)"
        ),
        "{ran:?}"
    );
}

#[test]
fn an_import_that_is_killed_leaves_all_or_nothing() {
    const ROWS: usize = 3000;
    let site = Site::new();
    let rows: String = (0..ROWS)
        .map(|number| format!("{{\"title\":\"film {number}\",\"released\":\"2000-01-01\"}}\n"))
        .collect();
    site.file("films.ndjson", &rows);
    // Early, late and in between; which of them hits what depends on the machine.
    for delay in [20, 100, 200, 300, 450, 700] {
        let mut child = site
            .command("import films.ndjson --collection films --key title")
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let found = site.documents("films").len();
        assert!(found == 0 || found == ROWS, "{found} after {delay} ms");
        if found == ROWS {
            break;
        }
    }
    // Whatever was killed, the next one goes through.
    let imported = site.run("import films.ndjson --collection films --key title");
    assert_eq!(imported.code, 0, "{imported:?}");
    assert_eq!(site.documents("films").len(), ROWS);
}
