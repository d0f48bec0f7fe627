use chrono_forge::prelude::*;

#[workflow]
fn run() -> Result<()> {
    Ok(())
}

fn main() {}
