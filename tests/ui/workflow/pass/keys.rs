#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

async fn is_paid(order: &str) -> Result<bool> {
    Ok(order.is_empty())
}

async fn remind(order: &str) -> Result<()> {
    println!("{order}");
    Ok(())
}

#[workflow]
async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn keys_of_every_kind(order: String) -> Result<()> {
    step!(" a b ", charge(&order)).await?;
    step!("-", charge(&order)).await?;
    step!("{order}", charge(&order)).await?;
    step!("{{", charge(&order)).await?;
    wait!("0", hours(1)).await;
    wait_until!("\u{e9}", is_paid(&order)).await?;
    continue_if!("e\u{301}", is_paid(&order)).await?;
    repeat!("\"", every = days(1), until = is_paid(&order), |_| remind(
        &order
    ))
    .await?;
    let b = branch!("b ", {
        spawn!(" ,", child(1));
        spawn_each!(r"\", 0..3, |n| child(n));
    })
    .await?;
    let _b = branch!("b", { spawn!("one", child(1)) }).await?;
    merge!(b, "b").await?;
    Ok(())
}
