#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

#[workflow]
async fn concurrent(order: String, ids: Vec<u32>) -> Result<usize> {
    let (a, b) = tokio::join!(step!("a", charge(&order)), async {
        step!("b", charge(&order)).await
    });
    let (c, ()) = tokio::try_join!(step!("c", charge(&order)), async {
        wait!("pause", hours(1)).await;
        Ok(())
    })?;
    let first = tokio::select! {
        result = step!("fast", charge(&order)) => {
            step!("after", charge(&order)).await?;
            result?
        }
        () = wait!("limit", hours(1)) => 0,
    };
    let pair = vec![step!("d", charge(&order)), step!("e", charge(&order))];
    let mut sum = a? + b? + c + first;
    for step in pair {
        sum += step.await?;
    }
    let text = format!(
        "{} {x}",
        step!("f", charge(&order)).await?,
        x = step!("g", charge(&order)).await?
    );
    assert!(
        matches!(step!("h", charge(&order)).await, Ok(n) if n < 100),
        "{text}"
    );
    let all: Vec<_> = ids
        .iter()
        .map(|id| step!("id-{id}", async move { charge(&id.to_string()).await }))
        .collect();
    for step in all {
        sum += step.await?;
    }
    Ok(sum)
}
