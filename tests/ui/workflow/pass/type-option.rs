#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

mod shipping {
    pub(crate) const FEE: u32 = 1;
}

#[workflow(type = Shipping)]
async fn shipping(n: u32) -> Result<u32> {
    Ok(n + shipping::FEE)
}

#[test]
fn is_used() {
    assert_eq!(<Shipping as Workflow>::NAME, "shipping");
    let _ = shipping(1);
}
