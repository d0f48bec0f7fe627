use chrono_forge::prelude::*;

async fn is_paid(order: &str) -> Result<bool> {
    Ok(order.is_empty())
}

#[workflow]
async fn run(order: String) -> Result<()> {
    continue_if!("", is_paid(&order)).await?;
    Ok(())
}

fn main() {}
