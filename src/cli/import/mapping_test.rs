//! What a mapping does, and what is said of its mistakes.

use std::io::Write;

use serde_json::json;

use super::*;
use crate::cli::import::fixture;

fn plan(text: &str) -> Result<Plan, Vec<String>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let (_, films) = fixture::films();
    let folder = format!("{}", file.path().display());
    Plan::read(file.path(), &films).map_err(|problems| {
        let texts = problems.iter().map(ToString::to_string);
        texts.map(|text| text.replace(&folder, "m.yaml")).collect()
    })
}

#[test]
fn columns_become_fields() {
    let mut plan = plan(
        "key: [title]
fields:
  title: { from: Name, as: text }
  released: { date: '%d.%m.%Y' }
  seen_at: { from: seen, timestamp: '%s' }
  country: Land
  notes: Name
",
    )
    .unwrap();
    let (_, films) = fixture::films();
    let row = json!({"Name": 300, "released": "9.3.2007", "seen": 0, "Land": "us", "extra": 1});
    assert_eq!(
        plan.fields_of(row, &films).unwrap(),
        json!({
            "country": "us",
            "notes": 300,
            "released": "2007-03-09",
            "seen_at": "1970-01-01T00:00:00.000Z",
            "title": "300",
        })
    );
    assert_eq!(plan.key, Key::new(vec![1]));

    let violations = plan
        .fields_of(json!({"released": "soon", "seen": "x"}), &films)
        .unwrap_err();
    let found: Vec<_> = violations
        .iter()
        .map(|v| format!("{} {}", v.path, v.message))
        .collect();
    assert_eq!(
        found,
        [
            "/released `soon` is no date of the form `%d.%m.%Y`",
            "/seen_at `x` is no timestamp of the form `%s`",
        ]
    );
}

#[test]
fn without_a_mapping_only_what_the_server_gives_is_left_out() {
    let (_, films) = fixture::films();
    let row = json!({"id": "1", "titel": "x", "created_at": 1, "updated_at": 2, "_rev": 3});
    assert_eq!(
        Plan::default().fields_of(row, &films).unwrap(),
        json!({"id": "1", "titel": "x"})
    );
    let list = json!([1]);
    assert_eq!(
        Plan::default().fields_of(list.clone(), &films).unwrap(),
        list
    );
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let problems = plan(
        "kye: [title]
key: [titel, _rev]
fields:
  titel: Name
  votes: { frm: Votes, as: nubmer }
  released: { date: '%b %Y' }
  rating: { date: '%F' }
  seen_at: { as: text, timestamp: '%s' }
  _rev: Rev
  hidden: Hidden
",
    )
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "m.yaml:1:1: unknown key `kye` (did you mean `key`?)",
            "m.yaml:2:7: unknown field `titel` in films (did you mean `title`?)",
            "m.yaml:2:14: `_rev` is given by the server",
            "m.yaml:4:3: unknown field `titel` in films (did you mean `title`?)",
            "m.yaml:5:12: unknown key `frm` (did you mean `from`?)",
            "m.yaml:5:28: expected `text`, `number` or `bool`, found the text `nubmer` (did you \
             mean `number`?)",
            "m.yaml:6:21: `%b %Y` does not say which day it is: that takes year (%Y), month (%m or \
             %b) and day (%d)",
            "m.yaml:7:19: `rating` is of the type float, which takes no date",
            "m.yaml:8:12: one of `as`, `date` and `timestamp` can be said of a column",
            "m.yaml:9:3: `_rev` is given by the server",
            "m.yaml:10:3: unknown field `hidden` in films",
        ]
    );
    assert_eq!(plan("- a").unwrap_err().len(), 1);
    assert!(plan("").is_ok());
}

#[test]
fn a_column_that_no_row_has_is_probably_misspelt() {
    let mut plan = plan("fields:\n  title: { from: Titel }\n  country: Land\n").unwrap();
    let (_, films) = fixture::films();
    assert_eq!(plan.unseen_columns(), vec![]);
    plan.fields_of(json!({"Title": "Ran", "Land": "jp"}), &films)
        .unwrap();
    let warnings: Vec<_> = plan
        .unseen_columns()
        .iter()
        .map(ToString::to_string)
        .collect();
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert!(
        warning.ends_with(":2:18: warning: no row has a column `Titel` (did you mean `Title`?)"),
        "{warning}"
    );
}
