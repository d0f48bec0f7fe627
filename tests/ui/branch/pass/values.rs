#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn values(numbers: Vec<u32>) -> Result<usize> {
    let nothing = branch!("nothing", {}).await?;
    let one = branch!("one", { spawn!("only", child(1)) }).await?;
    let tuple = branch!("tuple", {
        let first = spawn!("first", child(1));
        let rest = spawn_each!("rest", numbers.clone(), |n| child(n));
        let extra = step!("extra", { Ok(numbers.len()) }).await?;
        (first, rest, extra)
    })
    .await?;
    branch!("by-name", {
        spawn!("only", child(1));
    })
    .await?;
    let merged = branch!("automatic", automerge = true, {
        spawn_each!("n", numbers, |n| child(n))
    })
    .await?;
    merge!(nothing, one, "by-name").await?;
    let (_, rest, extra) = merge!(tuple).await?;
    Ok(rest.len() + extra + merged.len())
}
