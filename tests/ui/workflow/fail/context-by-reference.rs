use chrono_forge::prelude::*;

#[workflow]
async fn run(cx: &Context) -> Result<()> {
    let _ = cx;
    Ok(())
}

fn main() {}
