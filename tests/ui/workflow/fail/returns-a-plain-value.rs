use chrono_forge::prelude::*;

#[workflow]
async fn run() -> u32 {
    1
}

fn main() {}
