use chrono_forge::prelude::*;

struct Opaque;

#[workflow]
async fn run(opaque: Opaque) -> Result<()> {
    drop(opaque);
    Ok(())
}

fn main() {}
