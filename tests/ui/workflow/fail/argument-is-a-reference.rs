use chrono_forge::prelude::*;

#[workflow]
async fn run(name: &str) -> Result<usize> {
    Ok(name.len())
}

fn main() {}
