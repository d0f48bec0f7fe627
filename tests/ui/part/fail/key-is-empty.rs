use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<u32> {
    Ok(order.len() as u32)
}

#[workflow(part)]
async fn pay(cx: &Context, order: &str) -> Result<u32> {
    let _ = cx;
    Ok(step!("", charge(order)).await?)
}

fn main() {}
