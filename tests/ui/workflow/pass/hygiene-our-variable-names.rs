#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn double(n: u32) -> Result<u32> {
    Ok(2 * n)
}

#[workflow]
async fn clashing(__cx: u32, __args: u32, __slot: u32, __out: u32, __pass: u32) -> Result<u32> {
    let __cx = step!("double-{__cx}", double(__cx + __args + __out + __pass)).await?;
    let children = branch!("b", {
        spawn_each!("c", [1u32], |__cx| clashing(__cx, __slot, 0, 0, 0))
    })
    .await?;
    merge!(children).await?;
    Ok(__cx)
}
