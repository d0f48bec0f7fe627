use chrono_forge::prelude::*;

#[workflow(part)]
fn pay(cx: &Context) -> Result<()> {
    let _ = cx;
    Ok(())
}

fn main() {}
