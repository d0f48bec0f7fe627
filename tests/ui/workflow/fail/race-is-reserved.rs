use chrono_forge::prelude::*;

async fn pay() -> Result<()> {
    Ok(())
}

#[workflow]
async fn run() -> Result<()> {
    race!("first", pay(), pay()).await?;
    Ok(())
}

fn main() {}
