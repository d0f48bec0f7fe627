use chrono_forge::prelude::*;

#[workflow]
async fn run() -> Result<()> {
    wait!(" ", hours(1)).await;
    Ok(())
}

fn main() {}
