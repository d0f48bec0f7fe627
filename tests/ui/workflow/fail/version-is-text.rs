use chrono_forge::prelude::*;

#[workflow(version = "2")]
async fn run() -> Result<()> {
    Ok(())
}

fn main() {}
