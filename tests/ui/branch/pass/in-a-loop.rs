#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn waves(days: Vec<(String, u32)>) -> Result<usize> {
    let mut open = Vec::new();
    for (day, n) in &days {
        let wave = branch!("wave-{day}", {
            spawn!("first", child(*n));
            for i in 0..*n {
                spawn!("next-{i}", child(i));
            }
            spawn_each!("rest", 0..*n, |i| child(i + n))
        });
        open.push(wave.await?);
    }
    Ok(merge!(open).await?.len())
}
