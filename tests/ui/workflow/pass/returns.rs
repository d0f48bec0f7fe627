#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

use std::fmt;

#[derive(Debug)]
enum Failure {
    Step(StepError),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for Failure {}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

type Outcome = std::result::Result<u32, Failure>;

#[workflow]
async fn nothing() {}

#[workflow]
#[allow(clippy::unused_unit)]
async fn unit() -> () {
    wait!("pause", hours(1)).await
}

#[workflow]
async fn own_error() -> Outcome {
    Ok(step!("one", { Ok(1) }).await?)
}

#[workflow]
async fn of_anyhow(flag: bool) -> Result<Option<(u32, String)>> {
    Ok(flag.then(|| (1, String::new())))
}

#[test]
fn is_used() {
    let _: (Invocation<()>, Invocation<u32>) = (nothing(), own_error());
    let _: Invocation<Option<(u32, String)>> = of_anyhow(true);
    let _ = unit();
}
