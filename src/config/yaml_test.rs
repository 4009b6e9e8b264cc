use serde_json::json;

use super::*;

fn at(line: usize, column: usize) -> Position {
    Position { line, column }
}

fn flaw(text: &str) -> (usize, usize, String) {
    let flaw = parse(text).expect_err(text);
    (flaw.position.line, flaw.position.column, flaw.message)
}

#[test]
fn keeps_order_types_and_positions() {
    let text = "# first\nzoo: 1\nant:\n  - a\n  - { b: ~, 'c/d': 1.5 }\ntext: |\n  long\n  text\non: yes\n";
    let document = parse(text).unwrap();
    assert_eq!(
        document.value,
        json!({"zoo": 1, "ant": ["a", {"b": null, "c/d": 1.5}], "text": "long\ntext\n", "on": "yes"})
    );
    let keys: Vec<_> = document.value.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["zoo", "ant", "text", "on"]);
    let positions = &document.positions;
    assert_eq!(positions.key("/zoo"), Some(at(2, 1)));
    assert_eq!(positions.value("/zoo"), Some(at(2, 6)));
    assert_eq!(positions.value("/ant/1/b"), Some(at(5, 10)));
    assert_eq!(positions.key("/ant/1/c~1d"), Some(at(5, 13)));
    assert_eq!(positions.nearest("/ant/1/nothing/here", true), at(5, 5));
    assert_eq!(positions.nearest("/nothing", true), at(2, 1));
}

#[test]
fn an_empty_text_is_null() {
    for text in ["", "# only a comment\n", "---\n", "\u{feff}"] {
        assert_eq!(parse(text).unwrap().value, Json::Null, "{text:?}");
    }
}

#[test]
fn reports_every_flaw_that_leaves_the_rest_readable() {
    let text = "a: 1\nb: { c: 1, c: { d: 2 } }\na: 2\n5: x\ne: !run x\nf: 99999999999999999999\n";
    let document = parse(text).unwrap();
    let flaws: Vec<_> = document
        .flaws
        .iter()
        .map(|flaw| {
            (
                flaw.position.line,
                flaw.position.column,
                flaw.message.as_str(),
            )
        })
        .collect();
    assert_eq!(
        flaws,
        [
            (2, 12, "duplicate key `c`, already on line 2"),
            (3, 1, "duplicate key `a`, already on line 1"),
            (4, 1, "a key must be text; write it in quotes: \"5\""),
            (5, 4, "the tag `!run` means nothing here"),
            (
                6,
                4,
                "the number 99999999999999999999 cannot be kept exactly"
            ),
        ]
    );
    assert_eq!(document.value["a"], 1);
    assert_eq!(document.value["b"], json!({"c": 1}));
}

#[test]
fn refuses_what_cannot_be_read() {
    assert_eq!(flaw("a: [1, 2\nb: 3\n").0, 2);
    assert_eq!(flaw("a: 1\n---\nb: 2\n").0, 2);
    assert_eq!(
        flaw("a: 1\n? [x]\n: 2\n"),
        (2, 3, "a key must be text, not a list or a map".into())
    );
    assert_eq!(flaw("a:\n\t- b\n").0, 2);
    let deep = flaw(&"[".repeat(MAX_DEPTH + 10));
    assert_eq!((deep.0, deep.1), (1, MAX_DEPTH + 1));
    let long = "k".repeat(MAX_POINTER);
    assert_eq!(
        flaw(&format!("{long}: 1\n")).2,
        "the keys that lead here are too long"
    );
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&"a: {".repeat(100_000)).is_err());
}

#[test]
fn refuses_files_that_are_no_text() {
    let flaw = read(b"name: x\nfields: \xff\xfe\n").expect_err("not UTF-8");
    assert_eq!(flaw.position, at(2, 9));
    assert!(read(&vec![b'#'; MAX_BYTES + 1]).is_err());
}

#[test]
fn aliases_are_expanded_and_point_to_what_was_written() {
    let document = parse("a: &x\n  b: [1]\nc: *x\n").unwrap();
    assert_eq!(document.value["c"], json!({"b": [1]}));
    assert_eq!(document.positions.value("/c/b/0"), Some(at(2, 7)));
    assert_eq!(document.positions.value("/c"), Some(at(3, 4)));
    assert_eq!(flaw("a: &x [*x]\n").0, 1);
    assert_eq!(flaw("a: *nowhere\n").0, 1);
}

#[test]
fn an_alias_bomb_is_refused_before_it_goes_off() {
    let mut text = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for n in 1..12 {
        let previous = format!("*a{},", n - 1).repeat(10);
        text.push_str(&format!("a{n}: &a{n} [{previous}]\n"));
    }
    assert!(flaw(&text).2.contains("too much"));
}
