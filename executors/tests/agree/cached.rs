//! What the store answers from the cache's sets.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use nubo_cache::{Memory, Shelves};
use nubo_core::{
    Error, Result,
    bus::NoBus,
    caller::{Account, Caller},
    declare::CollectionDeclaration,
    document::Document,
    field::{Field, FieldType},
    filter::{Expr, Reader},
    passwords::Passwords,
    position::{has_keys, item},
    query::Query,
    schema::{Catalog, Collection},
    store::{Store, Tier},
    truth::Page,
};
use nubo_sync::Tiers;
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::{Value as Json, json};

use crate::{
    Question,
    truth::same_json,
    world::{World, catalog, choices::Choices, filters},
    written,
};

/// How the reasons begin for which a list comes from the truth however often it is asked for: so it
/// is planned, or it asks for ids of which there is no document.
const REASONS: [&str; 5] = [
    "a document was not in the cache",
    "pages by number are counted",
    "sets are in the order of things",
    "the filter asks for `",
    "the filter demands a value of no field",
];
/// In how many answers one comes from the cache at least.
const LEAST: u64 = 5;

/// How many answers came from where. What is asked for the first time does not count.
#[derive(Default)]
pub struct Share {
    cache: AtomicU64,
    truth: AtomicU64,
}

impl Share {
    /// Makes sure that the cache was what was compared, and not the truth behind it.
    pub fn check(&self) {
        let [cache, truth] = [&self.cache, &self.truth].map(|count| count.load(Ordering::Relaxed));
        let all = cache + truth;
        println!("{cache} of {all} answers of the store came from the cache");
        assert!(cache > 0 && cache * LEAST >= all, "{cache} of {all}");
    }
}

/// Has `things` be in an order, kept in sets by every field that can be, and read by whoever a rule
/// lets.
pub fn declare(choices: &mut Choices<'_>, declarations: &mut Json) {
    let plain = catalog(declarations.clone());
    let things = plain.named("things").unwrap();
    let names = keyed(things).map(|field| field.name.as_str());
    let names: Vec<&str> = names
        .filter(|name| declarations[0]["fields"].get(name).is_some())
        .collect();
    declarations[0]["tiers"]["cache"] = json!({ "sets": names });
    let fields = things.fields().iter();
    let orderable = fields.filter(|field| has_keys(&field.kind) || field.kind == FieldType::Float);
    let order = filters::sort_by(choices, &orderable.collect::<Vec<_>>());
    declarations[0]["order"] = order.split(',').collect();
    let mut ruled = declarations.clone();
    ruled[0]["access"] = json!({ "read": filters::filter(choices, things) });
    // A rule may be too deep, as a filter may.
    if Catalog::compile(&read(&ruled), &[]).is_ok() {
        *declarations = ruled;
    }
}

/// The order of `things`, as clients write one.
pub fn order(declarations: &Json) -> String {
    let keys = declarations[0]["order"].as_array().unwrap().iter();
    let keys: Vec<&str> = keys.map(|key| key.as_str().unwrap()).collect();
    keys.join(",")
}

fn read(declarations: &Json) -> Vec<CollectionDeclaration> {
    serde_json::from_value(declarations.clone()).unwrap()
}

/// The fields by which sets can be kept.
fn keyed(collection: &Collection) -> impl Iterator<Item = &Field> {
    let fields = collection.fields().iter();
    fields.filter(|field| has_keys(item(&field.kind)))
}

/// A filter that demands a value of a field that has sets, and something of what the cache knows.
pub fn narrow_filter(
    choices: &mut Choices<'_>,
    collection: &Collection,
    documents: &[Document],
) -> Json {
    let cache = collection.tiers.cache.as_ref().unwrap();
    let covered = collection.fields().iter().enumerate();
    let covered = covered.filter(|(at, _)| cache.excerpts.covers(*at));
    let covered: Vec<&Field> = covered.map(|(_, field)| field).collect();
    let filter = filters::filter_by(choices, &covered);
    let sets: Vec<usize> = cache.sets.iter().flatten().copied().collect();
    if sets.is_empty() || documents.is_empty() {
        return filter;
    }
    let name = &collection.fields()[*choices.pick(&sets)].name;
    let document = written(choices.pick(documents), collection);
    let document: Json = serde_json::from_slice(&document).unwrap();
    let value = match &document[name] {
        Json::Array(items) if items.is_empty() => return filter,
        Json::Array(items) => choices.pick(items),
        value => value,
    };
    let demanded = json!({ name: value });
    match choices.below(3) {
        0 => demanded,
        1 => json!({ "$and": [demanded, filter] }),
        _ => json!({ "$and": [filter, demanded] }),
    }
}

/// A store with a cache over a truth.
pub struct Cached<'a> {
    world: &'a World,
    tiers: Tiers,
    /// What the rule says, for those whom it binds.
    rule: Option<Expr>,
    share: &'a Share,
}

impl<'a> Cached<'a> {
    /// Opens the world's truth with a cache above it, which hears of everything.
    pub async fn start(world: &'a World, declarations: &Json, share: &'a Share) -> Self {
        let World {
            truth,
            catalog,
            clock,
            random,
            ..
        } = world;
        let memory = Memory::new(catalog, clock.clone(), usize::MAX);
        let cache = Arc::new(Shelves::new(catalog.clone(), Arc::new(memory)));
        truth.start(vec![cache.clone()]).await.unwrap();
        let rule = declarations[0]["access"].get("read").map(|rule| {
            let reader = Reader::of_client(catalog, world.collection("things"));
            reader.read(rule).unwrap()
        });
        let tiers = Tiers::new(
            catalog.clone(),
            truth.clone(),
            Arc::new(NoBus),
            Arc::new(NoPasswords),
            clock.clone(),
            random.clone(),
        );
        Self {
            world,
            tiers: tiers.with_cache(cache),
            rule,
            share,
        }
    }

    /// Asks everything twice: first the cache gets what it has not, then it answers.
    pub async fn compare(&self, question: &Question<'_>) -> TestCaseResult {
        self.compare_as(&Caller::Server, question, &question.expected)
            .await?;
        let Some(rule) = &self.rule else {
            return Ok(());
        };
        let fields = question.collection.fields();
        let visible = question.expected.iter().copied();
        let visible: Vec<&Document> = visible
            .filter(|document| rule.matches(*document, fields, &()))
            .collect();
        let somebody = Account::new(self.world.id(), Vec::new());
        self.compare_as(&Caller::account(somebody), question, &visible)
            .await
    }

    async fn compare_as(
        &self,
        caller: &Caller,
        question: &Question<'_>,
        expected: &[&Document],
    ) -> TestCaseResult {
        for is_warm in [false, true] {
            let ask = async |query: Query, expected: &[&Document]| {
                self.ask(caller, question, query, expected, is_warm).await
            };
            let page = ask(question.query.clone(), expected).await?;
            prop_assert_eq!(page.next, None, "{}", &question.about);
            let rest = expected.iter().skip(question.offset).copied();
            let some: Vec<&Document> = rest.take(2).collect();
            ask(question.skipping(), &some).await?;
            question.walk(expected, ask).await?;
        }
        Ok(())
    }

    async fn ask(
        &self,
        caller: &Caller,
        question: &Question<'_>,
        query: Query,
        expected: &[&Document],
        is_warm: bool,
    ) -> Result<Page, TestCaseError> {
        let about = &question.about;
        let answer = self.tiers.list(caller, query, &[]).await;
        let answer = answer.map_err(|error| TestCaseError::fail(format!("{error:?}\n{about}")))?;
        let documents = expected.iter();
        let documents: Vec<Vec<u8>> = documents
            .map(|document| written(document, question.collection))
            .collect();
        let page = answer.content;
        let about = format!("as {caller:?} from the {}: {about}", answer.tier.name());
        same_json(
            &page.documents,
            &documents.join(&b",\n"[..]),
            self.world,
            &about,
        )?;
        if is_warm {
            let is_meant = REASONS.iter().any(|reason| answer.why.starts_with(reason));
            let (count, is_right) = match answer.tier {
                Tier::Cache => (&self.share.cache, true),
                Tier::Recent | Tier::Truth => (&self.share.truth, is_meant),
            };
            prop_assert!(is_right, "{}: {}", answer.why, about);
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(page)
    }
}

/// Nobody signs in.
struct NoPasswords;

#[async_trait]
impl Passwords for NoPasswords {
    async fn hash(&self, _: String) -> Result<String> {
        Err(Error::internal("there are no passwords"))
    }

    async fn verify(&self, _: String, _: String) -> Result<bool> {
        Err(Error::internal("there are no passwords"))
    }
}
