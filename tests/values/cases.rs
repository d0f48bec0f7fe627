//! Drawing cases.

use std::fmt::Debug;
use std::future::Future;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Runs so many random cases (or as many as `PROPTEST_CASES` says), each on a runtime of its own,
/// and fails with the smallest one that does.
pub(crate) fn cases<T: Debug, F: Future<Output = ()>>(
    count: u32,
    values: impl Strategy<Value = T>,
    case: impl Fn(T) -> F,
) {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let config = ProptestConfig {
        cases: wanted.and_then(|cases| cases.parse().ok()).unwrap_or(count),
        max_shrink_iters: 100,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    let run = TestRunner::new(config).run(&values, |value| {
        // Of one thread, so that values are read on the thread that said as what.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(case(value));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}
