use chrono_forge::prelude::*;

type Count = u32;

#[workflow]
async fn run() -> Count {
    1
}

fn main() {}
