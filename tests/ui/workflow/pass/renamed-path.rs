#![deny(warnings, clippy::all)]

mod engines {
    pub(crate) mod durable {
        pub(crate) use chrono_forge::*;
    }
}

use engines::durable as cf;

#[cf::workflow(crate = cf)]
async fn renamed(n: u32) -> cf::prelude::Result<u32> {
    let a = cf::step!("a", { Ok(n) }).await?;
    let b = crate::programs::workflow_renamed_path::engines::durable::step!("b", { Ok(n) }).await?;
    let (c, d) = (
        chrono_forge::step!("c", { Ok(n) }).await?,
        ::chrono_forge::step!("d", { Ok(n) }).await?,
    );
    Ok(a + b + c + d)
}

#[cf::workflow(part, crate = crate::programs::workflow_renamed_path::engines::durable)]
async fn part(cx: &cf::prelude::Context, n: u32) -> cf::prelude::Result<u32> {
    Ok(cf::step!("part", { Ok(n) }).await?)
}

#[cf::workflow(crate = self::engines::durable)]
async fn caller(cx: cf::prelude::Context) -> cf::prelude::Result<u32> {
    part(&cx, 1).await
}
