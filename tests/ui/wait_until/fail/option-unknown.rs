use chrono_forge::prelude::*;

async fn is_paid() -> Result<bool> {
    Ok(true)
}

#[workflow]
async fn run() -> Result<()> {
    wait_until!("paid", evry = hours(1), is_paid()).await?;
    Ok(())
}

fn main() {}
