use chrono_forge::prelude::*;

#[workflow]
async fn run() -> Result<()> {
    let id = uuid!();
    drop(id);
    Ok(())
}

fn main() {}
