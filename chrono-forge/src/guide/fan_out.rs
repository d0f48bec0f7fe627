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
//!     Ok(resized.fold(0, |sum, size| sum + size).await?)
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
//! | source | its cursor | children are keyed by |
//! |---|---|---|
//! | anything that iterates, made again the same after a crash | how many items were dispatched | index |
//! | [`Keyset`](crate::Keyset): rows of a table | the last primary key | primary key |
//! | [`pages(..)`](crate::pages): an API with pages | the token of the page | index |
//! | [`stream(..)`](crate::stream): a queue, a change feed, a cursor | the token of the last item | index |
//!
//! A range of a million costs nothing, a vector costs its memory; the other three hold two batches at most.
//! Their errors (a pool without a connection, a request that fails) are errors of the block, tried again
//! from the cursor by the policy of the `branch!`.
//!
//! ## Rows of a table
//!
//! A Diesel query over a pool of your own, of any database that Diesel speaks to: a table, or a table with
//! filters. The order, the limit and the columns are the keyset's, so a query that has its own does not
//! compile, nor does a column that is not the table's primary key.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//! use diesel::prelude::*;
//! use diesel::r2d2::{ConnectionManager, Pool};
//!
//! type Shop = Pool<ConnectionManager<SqliteConnection>>;
//!
//! diesel::table! {
//!     customers (id) {
//!         id -> BigInt,
//!         name -> Text,
//!         active -> Bool,
//!     }
//! }
//!
//! #[derive(Queryable, Selectable)]
//! struct Customer {
//!     id: i64,
//!     name: String,
//! }
//!
//! #[workflow]
//! async fn bill(id: i64, name: String) -> Result<String> {
//!     Ok(step!("bill", { Ok(format!("{name} ({id}) owes us a coffee")) }).await?)
//! }
//!
//! #[workflow]
//! async fn bill_all(shop: State<Shop>) -> Result<usize> {
//!     let billed = branch!("bills", automerge = true, {
//!         let active = customers::table.filter(customers::active.eq(true));
//!         let rows = Keyset::new(active, customers::id).select(Customer::as_select()).pool(&shop);
//!         spawn_each!("customer", rows, |customer| bill(customer.id, customer.name))
//!     })
//!     .await?;
//!     Ok(billed.len())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let shop = Pool::builder().max_size(1).build(ConnectionManager::new(":memory:"))?;
//! # diesel::connection::SimpleConnection::batch_execute(
//! #     &mut *shop.get()?,
//! #     "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, active BOOLEAN NOT NULL);
//! #      INSERT INTO customers VALUES (7, 'Ada', TRUE), (8, 'Bob', FALSE), (12, 'Cy', TRUE);",
//! # )?;
//! let forge = Forge::builder("sqlite::memory:").state::<Shop>(shop).open().await?;
//! let run = forge.start("2026-11", bill_all()).await?;
//! assert_eq!(run.result().await?, 2);
//! let bill = forge.get::<bill>("2026-11$bills$customer$12").await?.expect("keyed by primary key");
//! assert_eq!(bill.result().await?, "Cy (12) owes us a coffee");
//! # Ok(())
//! # }
//! ```
//!
//! Tables change while they are read. Every row that is there from before the dispatch begins until it
//! passes has a child. One that enters meanwhile has a child if its key is above the cursor and is missed
//! if it is below; one that leaves after it was read keeps its child. Where keys do not grow with time (text,
//! random UUIDs, transactions that commit late), [`Keyset::snapshot`](crate::Keyset::snapshot) reads the
//! rows a second time before the branch is sealed, and dispatches those that have no child: then every row
//! that is there from before the first reading ends until the second one passes it has a child.
//!
//! ## Pages and streams
//!
//! A pager answers a page and the token of the next one:
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
//! A stream gives each item with the token behind it, and is opened again behind the last one that became a
//! child. When it pauses, the items that it gave are dispatched without waiting for a whole batch.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//! use futures::{Stream, stream::iter};
//!
//! struct Feed(Vec<&'static str>);
//!
//! impl Feed {
//!     /// Events behind an offset, each with its own.
//!     fn behind(&self, offset: Option<usize>) -> impl Stream<Item = Result<(String, usize)>> {
//!         let from = offset.map_or(0, |offset| offset + 1);
//!         iter(self.0.iter().enumerate().skip(from).map(|(offset, event)| Ok((event.to_string(), offset))))
//!     }
//! }
//!
//! #[workflow]
//! async fn handle(event: String) -> Result<usize> {
//!     Ok(event.len())
//! }
//!
//! #[workflow]
//! async fn handle_all(feed: State<Feed>) -> Result<Vec<usize>> {
//!     let handled = branch!("events", automerge = true, {
//!         spawn_each!("event", stream(|offset| feed.behind(offset)), |event| handle(event))
//!     })
//!     .await?;
//!     Ok(handled.collect().await?)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let feed = Feed(vec!["paid", "sent"]);
//! # let forge = Forge::builder("sqlite::memory:").state(feed).open().await?;
//! # assert_eq!(forge.start("f", handle_all()).await?.result().await?, [4, 4]);
//! # Ok(())
//! # }
//! ```
//!
//! # Results
//!
//! After the merge every child is completed, so its result cannot change any more: reading results leaves
//! no record, has no key and gives the same on every replay. They come in order of dispatch.
//!
//! - [`Child::output`](crate::Child::output): the result of one `spawn!`.
//! - [`Children::fold`](crate::Children::fold): one value made of all of them.
//! - [`Children::outputs`](crate::Children::outputs): a stream of child keys and results. Pages of at most
//!   500 are read, each in a short transaction, and one page is in memory, so a million children cost
//!   as much memory as a thousand.
//! - [`Children::collect`](crate::Children::collect): all of them in a `Vec`, for as many as fit one.
//!
//! A replay reads them again. Where the body goes on for long, or parks often, read in a step: its value is
//! recorded.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn measure(image: u64) -> Result<u64> {
//!     Ok(image * image % 7)
//! }
//!
//! #[workflow]
//! async fn largest_of(images: u64) -> Result<String> {
//!     let measured = branch!("measure", automerge = true, {
//!         spawn_each!("image", 0..images, |image| measure(image))
//!     })
//!     .await?;
//!     let largest = step!("find the largest", {
//!         let mut largest = (String::new(), 0);
//!         let mut outputs = measured.outputs();
//!         while let Some(output) = outputs.next().await {
//!             let (child, size) = output?;
//!             if size > largest.1 {
//!                 largest = (child, size);
//!             }
//!         }
//!         Ok(largest.0)
//!     })
//!     .await?;
//!     wait!("settle", secs(0)).await;
//!     Ok(largest)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # let run = forge.start("g", largest_of(1_200)).await?;
//! # assert_eq!(run.result().await?, "g$measure$image$2");
//! # Ok(())
//! # }
//! ```
//!
//! # Keys, nesting, failure
//!
//! A child's key is `<parent>$<branch>$<spawn>`, for items with `$<index>` behind it; `forge.get` takes it.
//! Branches nest through child workflows. A child that failed or stalled keeps its parent parked until
//! somebody recovers the child; [`Run::blocked_children`](crate::Run::blocked_children) tells which ones do,
//! at the same cost for ten children and for a million:
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use std::time::Duration;
//!
//! use chrono_forge::prelude::*;
//!
//! static IS_MENDED: AtomicBool = AtomicBool::new(false);
//!
//! #[workflow(retry = RetryPolicy::none())]
//! async fn resize(image: u64) -> Result<u64> {
//!     anyhow::ensure!(image != 3 || IS_MENDED.load(Ordering::Relaxed), "image {image} is torn");
//!     Ok(image)
//! }
//!
//! #[workflow]
//! async fn gallery(images: u64) -> Result<u64> {
//!     let resized = branch!("resize", automerge = true, {
//!         spawn_each!("image", 0..images, |image| resize(image))
//!     })
//!     .await?;
//!     Ok(resized.fold(0, |sum, image| sum + image).await?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let forge = Forge::open("sqlite::memory:").await?;
//! let run = forge.start("g", gallery(5)).await?;
//! let blocked = loop {
//!     let blocked = run.blocked_children().await?;
//!     if !blocked.is_empty() {
//!         break blocked;
//!     }
//!     tokio::time::sleep(Duration::from_millis(5)).await;
//! };
//! let (_, message) = blocked[0].last_error.clone().unwrap_or_default();
//! assert_eq!((&*blocked[0].key, &*message), ("g$resize$image$3", "image 3 is torn"));
//!
//! IS_MENDED.store(true, Ordering::Relaxed);
//! forge.retry::<resize>(&blocked[0].key).await?;
//! assert_eq!(run.result().await?, 10);
//! # Ok(())
//! # }
//! ```
