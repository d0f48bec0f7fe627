use chrono_forge::prelude::*;

use std::rc::Rc;

async fn charge() -> Result<u32> {
    Ok(1)
}

#[workflow]
async fn run() -> Result<u32> {
    let shared = Rc::new(1);
    let charged = step!(charge()).await?;
    Ok(charged + *shared)
}

fn main() {}
