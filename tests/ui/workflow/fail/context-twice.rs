use chrono_forge::prelude::*;

#[workflow]
async fn run(a: Context, b: Context) -> Result<()> {
    drop((a, b));
    Ok(())
}

fn main() {}
