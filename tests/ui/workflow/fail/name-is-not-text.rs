use chrono_forge::prelude::*;

#[workflow(name = run)]
async fn run() -> Result<()> {
    Ok(())
}

fn main() {}
