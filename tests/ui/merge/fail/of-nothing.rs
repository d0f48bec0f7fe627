use chrono_forge::prelude::*;

#[workflow]
async fn run() -> Result<()> {
    merge!().await?;
    Ok(())
}

fn main() {}
