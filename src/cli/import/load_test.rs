//! What the store is asked to do with rows.

use std::sync::Mutex;

use async_trait::async_trait;
use nubo_core::{
    Violation,
    store::Answer,
    truth::{Body, Page},
    write::Outcome,
};
use serde_json::json;

use super::*;
use crate::cli::import::fixture;

/// A store that knows one document and notes what it is asked to write.
struct Fake {
    refuse: Option<fn() -> Error>,
    written: Mutex<Vec<Operation>>,
}

const KNOWN: &str = "00000000-0000-4000-8000-000000000001";

fn id(number: u32) -> Id {
    format!("00000000-0000-4000-8000-{number:012}")
        .parse()
        .unwrap()
}

#[async_trait]
impl Store for Fake {
    async fn find(&self, _: &Caller, _: Query) -> Result<Vec<nubo_core::document::Document>> {
        Ok(Vec::new())
    }

    async fn write_with(
        &self,
        _: &Caller,
        operations: Vec<Operation>,
        _: Vec<Operation>,
    ) -> Result<Vec<Outcome>> {
        if let Some(refuse) = self.refuse {
            return Err(refuse());
        }
        let outcomes = operations.iter().map(|operation| match operation {
            Operation::Create { document, .. } => Outcome::Created(document.clone()),
            _ => {
                let (_, films) = fixture::films();
                let mut document = nubo_core::document::Document::empty(&films);
                document.set_revision(Revision::new(7));
                Outcome::Updated(document)
            }
        });
        let outcomes = outcomes.collect();
        self.written.lock().unwrap().extend(operations);
        Ok(outcomes)
    }

    async fn write_each(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        _: Sequence,
    ) -> Vec<Result<Outcome>> {
        let mut results = Vec::new();
        for operation in operations {
            let written = self.write(caller, vec![operation]).await;
            results.push(written.map(|mut outcomes| outcomes.remove(0)));
        }
        results
    }

    async fn get(
        &self,
        _: &Caller,
        _: nubo_core::schema::CollectionId,
        _: Id,
    ) -> Result<Option<Answer<Body>>> {
        Ok(None)
    }

    async fn list(
        &self,
        _: &Caller,
        _: Query,
        _: &[nubo_core::store::Expansion],
    ) -> Result<Answer<Page>> {
        unreachable!("what is stored is asked for as of one moment")
    }

    async fn list_at_once(&self, _: &Caller, query: Query) -> Result<Answer<Page>> {
        let known = format!("{:?}", query.filter).contains(KNOWN);
        let document = format!("{{\"id\":\"{KNOWN}\",\"_rev\":7}}");
        let page = Page {
            count: known.into(),
            documents: if known {
                document.into()
            } else {
                Default::default()
            },
            next: None,
        };
        Ok(Answer::truth(page, "there is nothing else"))
    }

    async fn count(&self, _: &Caller, _: nubo_core::schema::CollectionId, _: Expr) -> Result<u64> {
        Ok(0)
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}

fn candidates(rows: impl IntoIterator<Item = (Option<u32>, Json)>) -> Vec<Candidate> {
    let rows = rows.into_iter().enumerate();
    rows.map(|(index, (number, row))| Candidate {
        line: index + 1,
        row,
        id: number.map(id),
    })
    .collect()
}

/// Imports rows as one transaction: the report, and what was written.
async fn import(
    refuse: Option<fn() -> Error>,
    rows: Vec<Candidate>,
) -> (Report, String, Vec<Operation>) {
    let (catalog, films) = fixture::films();
    let store = Fake {
        refuse,
        written: Mutex::default(),
    };
    let mut loader = Loader::new(&store, &catalog, &films, None);
    let mut report = Report::default();
    let prepared = loader.prepare(rows, &mut report).await.unwrap();
    loader.write_together(prepared, &mut report).await.unwrap();
    let mut text = Vec::new();
    report.write_rejected("f", &mut text).unwrap();
    let written = store.written.into_inner().unwrap();
    (report, String::from_utf8(text).unwrap(), written)
}

fn counts(report: &Report) -> [u64; 4] {
    [
        report.created,
        report.updated,
        report.unchanged,
        report.rejected,
    ]
}

#[tokio::test]
async fn what_is_there_is_replaced_and_the_rest_created() {
    let rows = candidates([
        (Some(1), json!({"title": "Ran"})),
        (Some(2), json!({"title": "Ikiru"})),
        (None, json!({"title": "Yojimbo"})),
    ]);
    let (report, rejected, written) = import(None, rows).await;
    assert_eq!((counts(&report), rejected.as_str()), ([2, 0, 1, 0], ""));
    assert!(matches!(
        written[0],
        Operation::Update { target: Target::One { id: found, .. }, .. } if found == id(1)
    ));
    let Operation::Create { document, .. } = &written[1] else {
        panic!("{written:?}")
    };
    assert_eq!(document.id(), Some(id(2)));
}

#[tokio::test]
async fn rows_that_are_wrong_are_told_with_their_lines() {
    let rows = candidates([
        (Some(1), json!({"votes": -1, "titel": "Ran"})),
        (Some(2), json!({})),
        (Some(2), json!({})),
        (None, json!("Ran")),
    ]);
    let (report, rejected, _) = import(None, rows).await;
    assert_eq!(counts(&report), [1, 0, 0, 3]);
    assert_eq!(
        rejected,
        "f:1: /titel unknown field `titel`; did you mean `title`?; /votes must be at least 0\n\
         f:3: is the same document as line 2\n\
         f:4: must be an object, not text\n"
    );
}

#[tokio::test]
async fn what_the_store_refuses_is_told_with_its_line() {
    let refuse = || Error::Conflict {
        code: "duplicate",
        detail: "taken".into(),
        errors: vec![Violation::new("/1/title", "duplicate", "is taken already")],
    };
    let rows = || candidates([(Some(2), json!({})), (Some(3), json!({}))]);
    let (_, rejected, _) = import(Some(refuse), rows()).await;
    assert_eq!(rejected, "f:2: /title is taken already\n");

    let alone = || Error::Invalid(vec![Violation::new("/a", "x", "is wrong")]);
    let (_, rejected, _) = import(Some(alone), candidates([(None, json!({}))])).await;
    assert_eq!(rejected, "f:1: /a is wrong\n");
}

#[tokio::test]
async fn parents_are_written_first() {
    let sequel = |of: u32| json!({"sequel_of": id(of).to_string()});
    let rows = candidates([
        (Some(5), sequel(4)),
        (Some(1), sequel(3)),
        (Some(3), sequel(2)),
        (Some(2), json!({})),
        (Some(4), sequel(4)),
        (Some(6), sequel(9)),
    ]);
    let (report, _, written) = import(None, rows).await;
    assert_eq!(counts(&report), [5, 0, 1, 0]);
    let order: Vec<_> = written
        .iter()
        .map(|operation| match operation {
            Operation::Create { document, .. } => document.id().unwrap(),
            Operation::Update {
                target: Target::One { id, .. },
                ..
            } => *id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, [4, 5, 2, 3, 1, 6].map(id));
}

#[tokio::test]
async fn required_passwords_are_missing_unless_made_up() {
    struct Zero;
    impl Random for Zero {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }
    let catalog = fixture::catalog(json!({"pin": "password!"}));
    let films = catalog.named("films").unwrap();
    let store = Fake {
        refuse: None,
        written: Mutex::default(),
    };
    let rows = || candidates([(Some(1), json!({})), (Some(2), json!({}))]);

    let mut report = Report::default();
    let mut loader = Loader::new(&store, &catalog, films, None);
    let prepared = loader.prepare(rows(), &mut report).await.unwrap();
    // The one that is there keeps its password.
    assert_eq!((prepared.len(), report.rejected), (1, 1));

    let mut report = Report::default();
    let mut loader = Loader::new(&store, &catalog, films, Some(&Zero));
    let prepared = loader.prepare(rows(), &mut report).await.unwrap();
    let Operation::Create { document, .. } = &prepared[1].operation else {
        panic!()
    };
    assert_eq!(document.value(1), &Value::Secret("0".repeat(48)));
}
