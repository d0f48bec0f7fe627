#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

#[test]
fn is_used() {
    #[workflow]
    async fn local(order: String) -> Result<usize> {
        Ok(step!(charge(&order)).await?)
    }

    let _ = local("a".to_owned());
}
