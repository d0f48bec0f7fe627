use chrono_forge::prelude::*;

#[workflow]
async unsafe fn run() -> Result<()> {
    Ok(())
}

fn main() {}
