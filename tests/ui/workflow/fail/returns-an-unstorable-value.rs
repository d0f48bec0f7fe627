use chrono_forge::prelude::*;

#[derive(Debug)]
struct Opaque;

#[workflow]
async fn run() -> Result<Opaque> {
    Ok(Opaque)
}

fn main() {}
