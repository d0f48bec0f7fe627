#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

async fn check(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn closures(pairs: Vec<(u32, String)>) -> Result<()> {
    let limit = 10;
    let b = branch!("all", {
        let plain = spawn_each!("plain", 0..3u32, |n| child(n));
        let pattern = spawn_each!("pattern", of = 500, pairs, |(n, text)| child(
            n + text.len() as u32
        ));
        let typed = spawn_each!("typed", vec!["1"], |text: &str| child(text.parse()?));
        let block = spawn_each!("block", [1, 2], |n| {
            let checked = check(n).await?;
            let mut sum = 0;
            for i in 0..checked {
                sum += i;
            }
            if sum > limit {
                child(limit)
            } else {
                child(sum)
            }
        });
        let mapped = spawn_each!("mapped", (0..5).map(|n| n * 2), |n| child(n));
        let ignored = spawn_each!("ignored", [(); 3], |_| child(1));
        (plain, pattern, typed, block, mapped, ignored)
    })
    .await?;
    merge!(b).await?;
    Ok(())
}
