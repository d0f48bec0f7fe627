use chrono_forge::prelude::*;

async fn is_paid() -> Result<bool> {
    Ok(true)
}

#[workflow]
async fn run() -> Result<()> {
    continue_if!("paid", retry = RetryPolicy::new(), is_paid()).await?;
    Ok(())
}

fn main() {}
