//! `nubo check`, `nubo schema` and `nubo collections`, as somebody at a terminal meets them.
//!
//! `tests/golden/check` holds a configuration with every kind of mistake and what is told of it;
//! `BLESS=1 cargo test --test check` writes the generated files anew, to be read before they are
//! committed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value as Json;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the server's binary in a folder of the repository, with no environment of its own.
fn nubo(folder: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nubo"))
        .args(arguments)
        .current_dir(root().join(folder))
        .env_clear()
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

/// Compares with a file of the repository, or writes the file where that is asked for.
fn compare(actual: &str, path: &str) {
    let path = root().join(path);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, actual).expect("the file can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{} is out of date; `BLESS=1 cargo test --test check` writes it anew. It should be:\n{actual}",
        path.display()
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let output = nubo("tests/golden/check", &["check"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    compare(&told, "tests/golden/check/expected.txt");
    for line in told.lines().filter(|line| line.contains(".yaml:")) {
        let mut parts = line.splitn(4, ':');
        let path = root()
            .join("tests/golden/check")
            .join(parts.next().unwrap_or_default());
        assert!(path.exists(), "{line}");
        assert!(
            parts
                .next()
                .is_some_and(|number| number.parse::<usize>().is_ok()),
            "{line}"
        );
        assert!(
            parts
                .next()
                .is_some_and(|number| number.parse::<usize>().is_ok()),
            "{line}"
        );
    }
}

#[test]
fn programs_are_told_the_same() {
    let told = text(&nubo("tests/golden/check", &["check"]).stdout);
    let output = nubo("tests/golden/check", &["check", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Json = serde_json::from_slice(&output.stdout).expect("output is JSON");
    assert_eq!(report["ok"], false);
    let problems = report["problems"].as_array().expect("a list of problems");
    assert_eq!(problems.len(), told.lines().count() - 1);
    for (problem, line) in problems.iter().zip(told.lines()) {
        let file = problem["file"].as_str().expect("a file");
        let start = format!("{file}:{}:{}: ", problem["line"], problem["column"]);
        assert!(line.starts_with(&start), "{line}: {problem}");
        assert!(line.contains(problem["message"].as_str().expect("a message")));
    }
}

#[test]
fn what_is_shipped_has_no_mistakes() {
    for folder in [".", "examples/movies"] {
        let output = nubo(folder, &["check"]);
        assert!(
            output.status.success(),
            "{folder}: {}",
            text(&output.stdout)
        );
        let told = text(&output.stdout);
        assert!(told.starts_with("no mistakes: "), "{told}");
    }
}

#[test]
fn a_folder_without_any_file_is_a_configuration_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("a path that is text");
    let output = nubo(folder, &["check"]);
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        "no mistakes: 0 collections in 0 files\n"
    );
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_server() {
    for (file, path) in [
        ("nubo", "openapi/nubo.schema.json"),
        ("collection", "openapi/collection.schema.json"),
    ] {
        let output = nubo(".", &["schema", file]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        compare(&text(&output.stdout), path);
    }
}

/// The YAML files in a folder.
fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let mut paths: Vec<_> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    paths.sort();
    paths
}

/// What a validator that knows nothing of ours says about a file.
fn validate(schema: &Path, file: &Path) -> Vec<String> {
    let schema = fs::read_to_string(schema).expect("the schema is there");
    let schema = serde_json::from_str(&schema).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let bytes = fs::read(file).expect("the file is there");
    let document = nubo::config::yaml::read(&bytes).expect("the file is YAML");
    validator
        .iter_errors(&document.value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn another_validator_agrees_about_what_is_shipped() {
    let mut files = yaml_files("collections");
    files.extend(yaml_files("examples/movies/collections"));
    files.push(root().join("nubo.yaml"));
    assert!(files.len() > 10);
    for file in files {
        let text = fs::read_to_string(&file).expect("the file is text");
        let name = file.display();
        let schema = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# yaml-language-server: $schema="))
            .unwrap_or_else(|| panic!("{name}: the first line does not name the schema"));
        let schema = file.parent().expect("a folder").join(schema);
        assert_eq!(validate(&schema, &file), [""; 0], "{name}");
    }
}

#[test]
fn another_validator_agrees_about_what_is_wrong() {
    let schema = root().join("openapi/collection.schema.json");
    for file in ["posts", "massages", "notes", "badges"] {
        let file = root().join(format!("tests/golden/check/collections/{file}.yaml"));
        assert_ne!(validate(&schema, &file), [""; 0], "{}", file.display());
    }
    let schema = root().join("openapi/nubo.schema.json");
    let wrong = validate(&schema, &root().join("tests/golden/check/nubo.yaml"));
    for place in [
        "/server/shutdown_grace",
        "/server/base_path",
        "/log/level",
        "/modules",
    ] {
        assert!(
            wrong.iter().any(|error| error.starts_with(place)),
            "{place}: {wrong:?}"
        );
    }
}

#[test]
fn collections_are_listed_and_shown() {
    let output = nubo("examples/movies", &["collections", "list"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout)
            .lines()
            .any(|line| line.starts_with("movies "))
    );

    let output = nubo(".", &["collections", "show", "likes"]);
    let shown = text(&output.stdout);
    for part in [
        "user_id",
        "ref(users)!",
        "INDEXES",
        "unique",
        "ALLOWED FOR",
        "EFFECTS",
        "$inc",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }

    let output = nubo(".", &["collections", "show", "liks"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there is no collection `liks` (did you mean `likes`?)"));
}
