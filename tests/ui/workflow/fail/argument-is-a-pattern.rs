use chrono_forge::prelude::*;

#[workflow]
async fn run((a, b): (u32, u32)) -> Result<u32> {
    Ok(a + b)
}

fn main() {}
