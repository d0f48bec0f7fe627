use chrono_forge::prelude::*;

#[workflow]
async fn run() -> std::result::Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    Ok(1)
}

fn main() {}
