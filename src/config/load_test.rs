use std::fs;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::*;

#[derive(Default, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mail {
    from: Option<String>,
    #[schemars(extend("format" = "password"))]
    token: Option<String>,
}

fn sections() -> Vec<(&'static str, Section)> {
    vec![("mail", Section::of::<Mail>())]
}

/// A folder with these files, and options that read its `nubo.yaml`.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, LoadOptions) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let options = LoadOptions {
        file: Some(folder.path().join("nubo.yaml")),
        ..LoadOptions::default()
    };
    (folder, options)
}

fn told(folder: &tempfile::TempDir, problems: &[Problem]) -> Vec<String> {
    let root = format!("{}/", folder.path().display());
    problems
        .iter()
        .map(|problem| problem.to_string().replace(&root, ""))
        .collect()
}

#[test]
fn each_layer_overrides_those_before_it() {
    let (folder, mut options) = folder(&[
        (
            "nubo.yaml",
            "server: { listen: '0.0.0.0:1', body_limit: 2MiB, shutdown_grace: 1s }\n\
             log:\nmail: { from: a }\n",
        ),
        (
            "nubo.prod.yaml",
            "server: { listen: '0.0.0.0:2', body_limit: 3MiB }\n",
        ),
        (
            ".env",
            "NUBO_SERVER__BODY_LIMIT=4MiB\nNUBO_PROFILE=prod\nNUBO_MODULES__MAIL=true\n",
        ),
    ]);
    options.environment = [
        ("NUBO_SERVER__BODY_LIMIT", "5MiB"),
        ("NUBO_MODULES__MAIL", "false"),
        ("PORT", "3"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let loaded = load(&options, &sections()).unwrap();
    let server = &loaded.settings.server;
    assert_eq!(server.listen.to_string(), "0.0.0.0:3");
    assert_eq!(server.body_limit.to_string(), "5MiB");
    assert_eq!(server.shutdown_grace.to_string(), "1s");
    assert_eq!(loaded.settings.log, Settings::default().log);
    assert_eq!(loaded.settings.data, folder.path().join("data"));
    assert_eq!(loaded.sections["mail"], json!({"from": "a", "token": null}));
    assert!(!loaded.is_on("mail"));

    options.flags.push(Flag {
        name: "--listen",
        path: &["server", "listen"],
        value: "127.0.0.1:4".into(),
    });
    let loaded = load(&options, &sections()).unwrap();
    assert_eq!(loaded.settings.server.listen.to_string(), "127.0.0.1:4");
}

#[test]
fn mistakes_of_all_layers_are_told_at_once() {
    let (folder, mut options) = folder(&[
        (
            "nubo.yaml",
            "sever: {}\nserver:\n  listen: 80\n  shutdown_grace: 5 minutes\n",
        ),
        (
            "nubo.prod.yaml",
            "modules: { mial: false }\nmail: { from: [a] }\n",
        ),
    ]);
    options.profile = Some("prod".into());
    options.environment = [("NUBO_TIERS__TRUTH__READERS", "many"), ("PORT", "http")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let problems = load(&options, &sections()).unwrap_err();
    assert_eq!(
        told(&folder, &problems),
        [
            "nubo.prod.yaml:1:12: unknown key `mial` (did you mean `mail`?)",
            "nubo.prod.yaml:2:15: expected text, found a list",
            "nubo.yaml:1:1: unknown key `sever` (did you mean `server`?)",
            "nubo.yaml:3:11: expected text, found the number 80",
            "nubo.yaml:4:19: `5 minutes` is not a length of time; write a whole number and a \
             unit, for example `500ms`, `5s`, `15m`, `12h` or `30d`",
            "NUBO_TIERS__TRUTH__READERS: expected a whole number, found the text `many`",
            "PORT: expected a number from 0 to 65535, found the text `http`",
        ]
    );
}

#[test]
fn a_profile_needs_its_file() {
    let (folder, mut options) = folder(&[("nubo.yaml", ""), ("nubo.prod.yaml", "")]);
    options.profile = Some("prdo".into());
    let problems = load(&options, &[]).unwrap_err();
    assert_eq!(
        told(&folder, &problems),
        ["profile `prdo`: the file nubo.prdo.yaml does not exist (did you mean `prod`?)"]
    );
    options.profile = Some("../x".into());
    assert!(told(&folder, &load(&options, &[]).unwrap_err())[0].contains("consists of letters"));
}

#[test]
fn secrets_are_not_printed() {
    let (_folder, options) = folder(&[("nubo.yaml", "mail: { token: hunter2 }\n")]);
    let loaded = load(&options, &sections()).unwrap();
    assert_eq!(loaded.sections["mail"]["token"], "hunter2");
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert_eq!(loaded.shown()["mail"]["token"], "(secret)");
}

#[test]
fn a_folder_that_somebody_named_must_be_there() {
    let (folder, options) = folder(&[("nubo.yaml", "collections_dir: elsewhere\n")]);
    let problems = load(&options, &[]).unwrap_err();
    let told = told(&folder, &problems);
    assert!(
        told[0].starts_with("nubo.yaml:1:1: the folder elsewhere cannot be read"),
        "{told:?}"
    );
}

#[test]
fn a_module_cannot_take_the_name_of_a_section() {
    let sections = [("server", Section::of::<Mail>())];
    let (_folder, options) = folder(&[("nubo.yaml", "")]);
    let problems = load(&options, &sections).unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .starts_with("module `server`: the name is taken")
    );
}

#[test]
fn collections_may_stand_in_the_configuration_itself() {
    let (_folder, options) = folder(&[
        (
            "collections/users.yaml",
            "name: users\nfields: { nick: text! }\n",
        ),
        (
            "nubo.yaml",
            "collections:\n  - name: posts\n    fields: { author_id: ref(users)! }\n",
        ),
        (
            "nubo.test.yaml",
            "collections: { notes: { fields: { post_id: ref(posts) } } }\n",
        ),
    ]);
    let options = LoadOptions {
        profile: Some("test".into()),
        ..options
    };
    let loaded = load(&options, &[]).unwrap();
    let names: Vec<_> = loaded.catalog.names().collect();
    assert_eq!(names, ["users", "posts", "notes"]);
    assert_eq!(loaded.declarations.len(), 3);
    assert_eq!(loaded.files.len(), 3);
}

#[test]
fn mistakes_in_such_collections_have_their_places_too() {
    let (folder, options) = folder(&[(
        "nubo.yaml",
        "collections:\n  - name: posts\n    fields: { title: txt }\n  - fields: {}\n  - 5\n",
    )]);
    assert_eq!(
        told(&folder, &load(&options, &[]).unwrap_err()),
        [
            "nubo.yaml:3:22: unknown type `txt` (did you mean `text`?)",
            "nubo.yaml:4:5: the key `name` is missing",
            "nubo.yaml:5:5: expected a map, found the number 5",
        ]
    );
}
