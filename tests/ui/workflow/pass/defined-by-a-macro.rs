#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

macro_rules! payment {
    ($name:ident, $order:ident, $charge:expr) => {
        #[workflow]
        async fn $name($order: String) -> Result<usize> {
            let first = step!("first", $charge).await?;
            let rest = step!(concat!("re", "st"), async { $charge.await }).await?;
            Ok(first + rest)
        }
    };
}

payment!(card, order, charge(&order));
payment!(cash, order, charge(&order));

#[test]
fn is_used() {
    let _ = (card("a".to_owned()), cash("b".to_owned()));
}
