//! Children by the million, their cursors and results.
//!
//! A branch block says which children there are. `spawn_each!` pulls its source lazily, `of` items at a
//! time; a batch of children, the cursor behind them and the branch's counters are one transaction, so
//! dispatch goes on after a crash where it stopped. Children start while the block still dispatches. The
//! commit that completes the last child of a sealed branch wakes the parent, which is not replayed while
//! it waits.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn resize(image: u32) -> Result<u32> {
//!     Ok(step!("resize", { Ok(image * 10) }).await?)
//! }
//!
//! #[workflow]
//! async fn gallery(images: u32) -> Result<u32> {
//!     let resized = branch!("resize", { spawn_each!("image", 0..images, |image| resize(image)) }).await?;
//!     // .. the body goes on while the children run ..
//!     let resized = merge!(resized).await?;
//!     Ok(resized.collect().await?.iter().sum())
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("g", gallery(4)).await?.result().await?, 60);
//! # Ok(())
//! # }
//! ```
//!
//! # Sources
//!
//! Anything that iterates, made again the same after a crash: a range of a million costs nothing, a
//! vector costs its memory. Or a pager, whose token is the durable cursor:
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! async fn fetch(page: Option<u32>) -> Result<(Vec<String>, Option<u32>)> {
//!     let page = page.unwrap_or(0);
//!     let names = (0..3).map(|n| format!("customer-{page}-{n}")).collect();
//!     Ok((names, (page < 2).then_some(page + 1)))
//! }
//!
//! #[workflow]
//! async fn greet(name: String) -> Result<String> {
//!     Ok(format!("hello {name}"))
//! }
//!
//! #[workflow]
//! async fn greet_all() -> Result<usize> {
//!     let greeted = branch!("greet", automerge = true, {
//!         spawn_each!("customer", pages(fetch), |name| greet(name))
//!     })
//!     .await?;
//!     Ok(greeted.len())
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("g", greet_all()).await?.result().await?, 9);
//! # Ok(())
//! # }
//! ```
//!
//! # Keys, nesting, failure
//!
//! A child's key is `<parent>$<branch>$<spawn>`, for items with `$<index>` behind it; `forge.get` takes it.
//! Branches nest through child workflows. A child that failed or stalled keeps its parent parked until
//! somebody recovers the child.
