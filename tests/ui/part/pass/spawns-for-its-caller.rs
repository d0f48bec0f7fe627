#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow(part)]
async fn spawn_all(cx: &Context, from: u32) -> Result<Children<u32>> {
    Ok(spawn_each!("all", from..10, |n| child(n)))
}

#[workflow]
async fn parent(cx: Context) -> Result<()> {
    let b = branch!("children", { spawn_all(&cx, 3).await? }).await?;
    merge!(b).await?;
    Ok(())
}
