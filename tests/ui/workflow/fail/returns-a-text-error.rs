use chrono_forge::prelude::*;

#[workflow]
async fn run() -> std::result::Result<u32, String> {
    Ok(1)
}

fn main() {}
