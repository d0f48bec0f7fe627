use chrono_forge::prelude::*;

#[workflow(priority = urgent)]
async fn run() -> Result<()> {
    Ok(())
}

fn main() {}
