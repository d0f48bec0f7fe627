use chrono_forge::prelude::*;

#[workflow]
async fn run<const N: usize>() -> Result<usize> {
    Ok(N)
}

fn main() {}
