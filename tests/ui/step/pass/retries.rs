#![deny(warnings, clippy::all)]

use chrono_forge::RetryPolicies;
use chrono_forge::prelude::*;
use std::io::{Error, ErrorKind};

const PATIENT: RetryPolicy = RetryPolicy::new()
    .max_attempts(20)
    .base(secs(2))
    .cap(minutes(10));

fn busy() -> RetryPolicy {
    PATIENT.when("busy", |error| {
        let io = error.downcast_ref::<Error>();
        io.is_some_and(|io| io.kind() == ErrorKind::ResourceBusy)
    })
}

#[workflow(retry = [busy(), RetryPolicy::workflow().on::<Error>().on_panic()])]
async fn listed(attempts: Vec<u32>) -> Result<()> {
    step!("inherits", { Ok(()) }).await?;
    step!("one", retry = PATIENT, { Ok(()) }).await?;
    step!(
        "list",
        retry = [busy().on_timeout(), RetryPolicy::none()],
        { Ok(()) }
    )
    .await?;
    let computed: Vec<RetryPolicy> = attempts
        .into_iter()
        .map(|attempts| RetryPolicy::new().max_attempts(attempts))
        .collect();
    let policies = RetryPolicies::try_from(computed)?;
    step!("computed", retry = policies.clone(), { Ok(()) }).await?;
    wait_until!("up", retry = policies.clone(), async {
        Ok::<_, Error>(true)
    })
    .await?;
    branch!("children", automerge = true, retry = policies, {}).await?;
    Ok(())
}

#[workflow(retry = RetryPolicy::none())]
async fn plain() -> Result<()> {
    Ok(())
}

#[test]
fn is_used() {
    let _ = (listed(vec![1]), plain());
}
