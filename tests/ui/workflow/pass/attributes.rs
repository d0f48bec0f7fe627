//! The user's attributes.
#![deny(warnings, clippy::all, missing_docs, unreachable_pub, unsafe_code)]

use chrono_forge::prelude::*;

/// Documented.
#[workflow]
#[deprecated(note = "use the other one")]
#[must_use = "start it"]
#[allow(clippy::needless_pass_by_value)]
#[expect(unused_variables)]
async fn old(n: u32) -> Result<()> {
    Ok(())
}

#[workflow]
#[cfg(any())]
async fn absent(n: NoSuchType) -> Result<()> {
    step!(no_such_function()).await
}

#[workflow]
#[cfg_attr(all(), doc = "Documented, perhaps.")]
async fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, cx: Context) -> Result<u8> {
    drop(cx);
    Ok(a + b + c + d + e + f)
}

#[test]
fn is_used() {
    #[expect(deprecated)]
    let invocation = old(1);
    drop(invocation);
}
