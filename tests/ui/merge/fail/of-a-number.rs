use chrono_forge::prelude::*;

#[workflow]
async fn run() -> Result<()> {
    merge!(3).await?;
    Ok(())
}

fn main() {}
