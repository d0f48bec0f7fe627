#![deny(warnings, clippy::all)]

use chrono_forge::{Context, hours, workflow};

#[allow(dead_code)]
fn tick() {}

#[allow(dead_code)]
struct OnError;

async fn done(n: u32) -> chrono_forge::Result<bool> {
    Ok(n > 3)
}

// Our own words as the user's variables.
#[workflow]
async fn own_names(cx: Context, repeat: u32, until: u32, private: u32) -> chrono_forge::Result<()> {
    chrono_forge::repeat!(
        "names",
        every = hours(1),
        until = done(until),
        on_error = Fail,
        |tick| {
            cx.set("at", &tick)?;
            cx.set("sum", &(repeat + private))?;
            Ok(())
        }
    )
    .await?;
    in_a_part(&cx, repeat).await
}

#[workflow(part)]
async fn in_a_part(cx: &Context, n: u32) -> chrono_forge::Result<()> {
    chrono_forge::repeat!("part", every = hours(1), until = done(n), |tick| {
        cx.set("at", &tick)?;
        Ok(())
    })
    .await?;
    Ok(())
}
