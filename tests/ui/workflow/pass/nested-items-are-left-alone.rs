#![deny(warnings, clippy::all)]

use chrono_forge::prelude::*;

async fn charge(order: &str) -> Result<usize> {
    Ok(order.len())
}

#[workflow]
async fn outer(order: String) -> Result<usize> {
    struct Total(usize);

    impl Total {
        fn add(&mut self, n: usize) -> &mut Self {
            self.0 += n;
            self
        }
    }

    async fn twice(order: &str) -> Result<usize> {
        Ok(2 * charge(order).await?)
    }

    let n = step!(twice(&order)).await?;
    let mut total = Total(0);
    total.add(n);
    Ok(total.0)
}
