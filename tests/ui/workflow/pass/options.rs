#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

#[workflow(
    name = "billing.invoice",
    queue = "slow",
    priority = high,
    retry = RetryPolicy::new().max_attempts(2),
    version = 7,
)]
async fn invoice() {}

#[test]
fn is_used() {
    assert_eq!(<invoice as Workflow>::NAME, "billing.invoice");
    assert_eq!(<invoice as Workflow>::DEFINITION.version, 7);
}
