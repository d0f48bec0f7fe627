use chrono_forge::prelude::*;

async fn is_paid() -> Result<bool> {
    Ok(true)
}

#[workflow]
async fn run() -> Result<()> {
    continue_if!("paid", { Ok(step!(is_paid()).await?) }).await?;
    Ok(())
}

fn main() {}
