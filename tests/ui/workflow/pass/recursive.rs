#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

#[workflow]
async fn countdown(n: u32) -> Result<u32> {
    if n == 0 {
        return Ok(0);
    }
    let rest = branch!("rest", automerge = true, {
        spawn!("next", countdown(n - 1))
    })
    .await?;
    let _: Child<u32> = rest;
    Ok(n)
}
