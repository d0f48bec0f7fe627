use chrono_forge::prelude::*;

#[workflow(version = 1, version = 2)]
async fn run() -> Result<()> {
    Ok(())
}

fn main() {}
