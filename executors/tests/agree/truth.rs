//! What a truth answers.

use nubo_core::{access::View, document::Document, query::Query, schema::Collection};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::Value as Json;

use crate::{
    Question,
    world::{Home, World},
    written,
};

/// A truth, and what is right.
pub struct Answers<'a> {
    pub world: &'a World,
    pub question: &'a Question<'a>,
}

impl Answers<'_> {
    pub async fn compare(&self) -> TestCaseResult {
        self.compare_whole().await?;
        self.compare_offset().await?;
        self.compare_walk().await
    }

    async fn compare_whole(&self) -> TestCaseResult {
        let truth = &self.world.truth;
        let Question {
            query, expected, ..
        } = self.question;
        let found = truth
            .find(query.clone(), &View::all())
            .await
            .map_err(|e| self.failed(e))?;
        let found: Vec<&Document> = found.iter().collect();
        prop_assert_eq!(&found, expected, "find: {}", &self.question.about);
        let count = truth
            .count(query.collection, query.filter.clone(), &View::all())
            .await
            .map_err(|e| self.failed(e))?;
        prop_assert_eq!(
            count,
            expected.len() as u64,
            "count: {}",
            &self.question.about
        );
        let page = truth
            .page(query.clone(), &View::all())
            .await
            .map_err(|e| self.failed(e))?;
        prop_assert_eq!(page.count as usize, expected.len());
        prop_assert_eq!(page.next, None);
        let all: Vec<Vec<u8>> = expected
            .iter()
            .map(|document| written(document, self.question.collection))
            .collect();
        self.same(&page.documents, &all)
    }

    async fn compare_offset(&self) -> TestCaseResult {
        let Question {
            collection,
            expected,
            offset,
            ..
        } = self.question;
        let query = Query {
            fields: Some(vec![Collection::ID]),
            ..self.question.skipping()
        };
        let page = self.world.truth.page(query.clone(), &View::all()).await;
        let page = page.map_err(|e| self.failed(e))?;
        let rest: Vec<&Document> = expected.iter().skip(*offset).copied().collect();
        let ids: Vec<Vec<u8>> = rest
            .iter()
            .take(2)
            .map(|document| {
                let mut out = Vec::new();
                document.write_fields(collection, &[Collection::ID], &mut out);
                out
            })
            .collect();
        self.same(&page.documents, &ids)?;
        prop_assert_eq!(page.next.is_some(), rest.len() > 2);
        let found = self.world.truth.find(query, &View::all()).await;
        let found = found.map_err(|e| self.failed(e))?;
        prop_assert_eq!(found.len(), rest.len().min(2));
        Ok(())
    }

    /// Page by page to the end.
    async fn compare_walk(&self) -> TestCaseResult {
        let ask = async |query: Query, expected: &[&Document]| {
            let page = self.world.truth.page(query, &View::all()).await;
            let page = page.map_err(|e| self.failed(e))?;
            let all = expected.iter();
            let all: Vec<Vec<u8>> = all
                .map(|document| written(document, self.question.collection))
                .collect();
            self.same(&page.documents, &all)?;
            Ok(page)
        };
        self.question.walk(&self.question.expected, ask).await
    }

    /// Documents joined as they are in a page.
    fn same(&self, found: &[u8], expected: &[Vec<u8>]) -> TestCaseResult {
        same_json(
            found,
            &expected.join(&b",\n"[..]),
            self.world,
            &self.question.about,
        )
    }

    fn failed(&self, error: nubo_core::Error) -> TestCaseError {
        TestCaseError::fail(format!("{error:?}\n{}", self.question.about))
    }
}

/// The bytes are the same. PostgreSQL does not keep the order of keys in json: there, documents must
/// be the same values, one on each line.
pub fn same_json(
    found: &[u8],
    expected: &[u8],
    world: &World,
    about: &impl std::fmt::Display,
) -> TestCaseResult {
    let found = String::from_utf8_lossy(found);
    let expected = String::from_utf8_lossy(expected);
    if matches!(world.home, Home::Database(_)) && found != expected {
        prop_assert_eq!(values(&found), values(&expected), "{}", about);
        return Ok(());
    }
    prop_assert_eq!(found, expected, "{} {}", about, driver(world));
    Ok(())
}

fn values(documents: &str) -> Vec<Json> {
    let lines = documents.split(",\n");
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn driver(world: &World) -> &'static str {
    match world.home {
        Home::File(_) => "in SQLite",
        Home::Database(_) => "in PostgreSQL",
    }
}
