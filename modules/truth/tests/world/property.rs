//! Running a property over many cases that are drawn at random.

use std::ops::Range;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};

use super::choices::Choices;

/// Tries so many cases (`NUBO_CASES` sets another number), each from a stream of choices of some
/// length, and fails with the smallest that was found.
pub fn holds(
    cases: u32,
    length: Range<usize>,
    case: impl AsyncFn(&mut Choices<'_>) -> TestCaseResult,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let wanted = std::env::var("NUBO_CASES").ok();
    let mut runner = TestRunner::new(Config {
        cases: wanted
            .and_then(|wanted| wanted.parse().ok())
            .unwrap_or(cases),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    });
    let streams = proptest::collection::vec(any::<u32>(), length);
    let result = runner.run(&streams, |numbers| {
        runtime.block_on(case(&mut Choices::new(&numbers)))
    });
    if let Err(error) = result {
        let text = error.to_string();
        // The stream itself says nothing to anybody.
        let end = text.find("minimal failing input").unwrap_or(text.len());
        panic!("{}", &text[..end]);
    }
}
