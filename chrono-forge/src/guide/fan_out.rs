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
//! diesel::connection::SimpleConnection::batch_execute(
//!     &mut *shop.get()?,
//!     "CREATE TABLE customers (
//!          id INTEGER PRIMARY KEY, name TEXT NOT NULL, active BOOLEAN NOT NULL
//!      );
//!      INSERT INTO customers VALUES (7, 'Ada', TRUE), (8, 'Bob', FALSE), (12, 'Cy', TRUE);",
//! )?;
//! let forge = Forge::builder("sqlite::memory:").state::<Shop>(shop).open().await?;
//! let run = forge.start("2026-11", bill_all()).await?;
//! assert_eq!(run.result().await?, 2);
//! let bill = forge.get::<bill>("2026-11$bills$customer$12").await?.expect("keyed by primary key");
//! assert_eq!(bill.result().await?, "Cy (12) owes us a coffee");
//! # Ok(())
//! # }
//! ```
//!
//! A primary key of two to four columns is given as a tuple, `Keyset::composite(lines::table,
//! (lines::order_id, lines::line_no))`; children are keyed by all of it, `17,2`
//! ([`Keyset::composite`](crate::Keyset::composite) has an example).
//!
//! Tables change while they are read. Every row that is there from before the dispatch begins until it
//! passes has a child. One that enters meanwhile has a child if its key is above the cursor and is missed
//! if it is below; one that leaves after its child was dispatched keeps it. Where keys do not grow with
//! time (text, random UUIDs, transactions that commit late),
//! [`Keyset::snapshot`](crate::Keyset::snapshot) reads the rows a second time before the branch is sealed, and dispatches those that have no child: then every row
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
//! A stream gives each item with the token behind it, and is opened again behind the last one that
//! became a child. When it pauses for 100 ms, and a second after the first of them at the latest,
//! the items that it gave are dispatched without waiting for a whole batch.
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
//! # A join with a deadline
//!
//! A join may lose a race. The run then goes on without its children, which run on to their ends whether
//! anybody joins them or not; it may complete before them. Where the body keeps the join, it can wait for the
//! same one again and has the results in the end:
//!
//! ```standalone_crate
//! use std::time::Duration;
//!
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn quote(supplier: u32) -> Result<u32> {
//!     wait!("answer", Duration::from_millis(100)).await;
//!     Ok(100 + supplier)
//! }
//!
//! #[workflow]
//! async fn cheapest() -> Result<Option<u32>> {
//!     let mut quotes = branch!("quotes", automerge = true, {
//!         spawn_each!("supplier", 0..3, |supplier| quote(supplier))
//!     });
//!     for reminder in 0..20 {
//!         tokio::select! {
//!             quotes = &mut quotes => return Ok(quotes?.collect().await?.into_iter().min()),
//!             () = wait!("patience-{reminder}", Duration::from_millis(50)) => {
//!                 step!("remind-{reminder}", { Ok(()) }).await?;
//!             }
//!         }
//!     }
//!     Ok(None) // the suppliers' answers come to nothing
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # assert_eq!(forge.start("q", cheapest()).await?.result().await?, Some(100));
//! # Ok(())
//! # }
//! ```
//!
//! Where the join itself stood in the `select!`, it is given up with the arm. A later `merge!("quotes")` joins
//! the same children by the name of their branch; a join that was over by then is over at once. A dispatch that
//! loses its race is cut off: the children that it has dispatched by then are all that its branch has.
//!
//! What is not given up is merged: a run that ends with a branch whose handle was merely thrown away fails, since that
//! is how joins are forgotten. `drop(merge!(handle))` gives it up in so many words.
//!
//! # Results
//!
//! After the merge every child is completed, so its result cannot change any more: reading results leaves
//! no record, has no key and gives the same on every replay. They come in order of dispatch, which is that
//! of the source: of the indexes, or of a database source's primary keys (what a snapshot finds at its
//! second reading comes last).
//!
//! - [`Child::output`](crate::Child::output): the result of one `spawn!`.
//! - [`Children::fold`](crate::Children::fold): one value made of all of them.
//! - [`Children::outputs`](crate::Children::outputs): a stream of child keys and results. Pages of at most
//!   500 are read, each in a short transaction, and one page is in memory, so a million children cost
//!   as much memory as a thousand.
//! - [`Children::collect`](crate::Children::collect): all of them in a `Vec`, for as many as fit one.
//! - [`Children::outputs_by_completion`](crate::Children::outputs_by_completion): the same stream in the
//!   order in which the children completed. The order is found first, so each child is looked at once
//!   more, and 8 bytes a child stay in memory.
//! - [`Children::failures`](crate::Children::failures): what went wrong on the way, every failed attempt of
//!   every child, as a stream of pages, too.
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
//! What a merged branch has behind it is told by its failures:
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use chrono_forge::prelude::*;
//!
//! static ASKED: AtomicU32 = AtomicU32::new(0);
//!
//! #[workflow]
//! async fn quote(supplier: u32) -> Result<u32> {
//!     let price = step!("ask", retry = RetryPolicy::new().base(secs(0)), {
//!         let is_down = supplier == 1 && ASKED.fetch_add(1, Ordering::Relaxed) < 2;
//!         anyhow::ensure!(!is_down, "supplier {supplier} does not answer");
//!         Ok(100 + supplier)
//!     });
//!     Ok(price.await?)
//! }
//!
//! #[workflow]
//! async fn quotes() -> Result<Vec<String>> {
//!     let quotes = branch!("quotes", automerge = true, {
//!         spawn_each!("supplier", 0..3, |supplier| quote(supplier))
//!     })
//!     .await?;
//!     let mut trouble = Vec::new();
//!     let mut failures = quotes.failures();
//!     while let Some(failure) = failures.next().await {
//!         let failure = failure?;
//!         let step = failure.step.unwrap_or_default();
//!         trouble.push(format!("{step} {}: {}", failure.attempt, failure.message));
//!     }
//!     Ok(trouble)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let forge = Forge::open("sqlite::memory:").await?;
//! # let run = forge.start("q", quotes()).await?;
//! # let expected = [1, 2].map(|n| format!("step$ask {n}: supplier 1 does not answer"));
//! # assert_eq!(run.result().await?, expected);
//! # Ok(())
//! # }
//! ```
//!
//! # Keys, nesting, failure
//!
//! A child's key is `<parent>$<branch>$<spawn>`, for items with `$<index>` behind it; `forge.get`
//! takes it. A child belongs to its parent run: runs of two workflows may have one key, and
//! children of the same names. A call by a key that several runs have changes nothing and answers
//! [`Error::AmbiguousKey`](crate::Error::AmbiguousKey) with the parent of each;
//! [`Run::child`](crate::Run::child) and [`Forge::by_id`](crate::Forge::by_id) name one of them,
//! and a [`Run`](crate::Run) is woken, retried and unlocked by itself:
//!
//! ```
//! # use chrono_forge::prelude::*;
//! # use chrono_forge::RunError;
//! #[workflow]
//! async fn send_mail(to: String) -> Result<()> {
//!     step!("send", { println!("to {to}"); Ok(()) }).await?;
//!     Ok(())
//! }
//!
//! /// The mail of this invoice, and not that of the reminder with the same key.
//! async fn send_again(invoice: &Run<()>) -> Result<(), RunError> {
//!     if let Some(mail) = invoice.child::<send_mail>("mails", "mail$3").await? {
//!         mail.retry().await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Branches nest through child workflows, to any depth that keys of 8 KiB allow: a workflow that spawns
//! itself without end fails there. Each child has the queue and the priority of its own workflow.
//!
//! Who goes first when more is due than there are slots: top-level runs before children; among
//! children the first hundred of each branch before the next 9,900, and those before the rest, so
//! that ten children do not wait behind somebody's million; among those alike `#[workflow(priority
//! = high)]` before `normal` before `low`; then whoever became due first. What tries again after a
//! failure comes last. Now and then the order is turned round, so that nobody starves.
//!
//! A child that failed or stalled keeps its parent parked until somebody recovers the child, and so all
//! runs above it. Whoever waits for the [`result`](crate::Run::result) of one of these is told:
//! [`RunError::Blocked`](crate::RunError::Blocked) names the first run that blocks it, and the remedy. The other
//! children go on meanwhile, and after the `retry` another `result()` waits for the value. A run that goes on by
//! itself is waited for: one that tries again, that waits for an instant or an event, or whose join has lost a race.
//!
//! [`Run::blocked_children`](crate::Run::blocked_children) tells which children of a run do,
//! at the same cost for ten children and for a million.
//! [`Run::blocked_descendants`](crate::Run::blocked_descendants) finds them at any depth; it looks at the
//! blocked runs of the database, not at the tree. `forge.retry` retries one of them,
//! [`RetryFilter::children_of`](crate::RetryFilter::children_of) all blocked children of a run:
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use chrono_forge::prelude::*;
//! use chrono_forge::{RetryFilter, RunError};
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
//! let Err(RunError::Blocked { first, .. }) = run.result().await else { panic!("image 3 is torn") };
//! assert_eq!(first.key, "g$resize$image$3");
//! let blocked = run.blocked_children().await?;
//! let (_, message) = blocked[0].last_error.clone().unwrap_or_default();
//! assert_eq!((&*blocked[0].key, &*message), ("g$resize$image$3", "image 3 is torn"));
//!
//! IS_MENDED.store(true, Ordering::Relaxed);
//! let all_of_them = RetryFilter::new().children_of(run.id());
//! assert_eq!(forge.retry_all(all_of_them).await?, 1);
//! assert_eq!(run.result().await?, 10);
//! # Ok(())
//! # }
//! ```
//!
//! # Watching a branch
//!
//! [`Run::branches`](crate::Run::branches) tells of each branch of a run how many children were
//! dispatched, how many are pending and how many blocked. That is exact, and costs the same for ten
//! children and for a million. How fast they complete, how long the rest will take, and how many
//! nobody has taken yet, is as of the last audit: a worker counts the children of each branch that
//! stays open for longer than 5 seconds, beside everything else that happens, after a fourth of the
//! time that is left at their rate (at least 5 seconds, at most 10 minutes), and less and less
//! often while nothing moves. A worker counts for a fiftieth of its time at most, so behind a count
//! that took half a second the next one comes no sooner than 25 seconds later:
//! [`audited_at`](crate::BranchState::audited_at) tells how old an estimate is. It is gone once the
//! branch is over.
//!
//! The join does not wait for audits: the last child wakes the parent. They are a second pair of eyes. A
//! counter that is wrong, as only damage to the database can make it, would strand the parent or let it go on
//! early; an audit that finds one counts again while commits wait, sets it right, says so in a warning of
//! the log and in [`BranchState::repairs`](crate::BranchState::repairs), and wakes the parent if no child is
//! left. What no audit can undo is a parent that went on before it came.
//! [`Run::audit`](crate::Run::audit) counts at once and answers what it counted.
//!
//! ```standalone_crate
//! use chrono_forge::prelude::*;
//!
//! #[workflow]
//! async fn resize(image: u64) -> Result<u64> {
//!     // .. until somebody has approved it ..
//!     wait!("approval", hours(image)).await;
//!     Ok(image)
//! }
//!
//! #[workflow]
//! async fn gallery(images: u64) -> Result<u64> {
//!     let resized = branch!("resize", automerge = true, {
//!         spawn_each!("image", 0..images, |image| resize(image))
//!     })
//!     .await?;
//!     Ok(resized.len() as u64)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let forge = Forge::open("sqlite::memory:").await?;
//! let run = forge.start("g", gallery(5)).await?;
//! while !run.branches().await?.iter().any(|branch| branch.pending == 4 && branch.sealed) {
//!     tokio::time::sleep(std::time::Duration::from_millis(5)).await;
//! }
//! for branch in run.branches().await? {
//!     assert_eq!(&*branch.name, "resize");
//!     assert_eq!((branch.spawned, branch.pending, branch.blocked), (5, 4, 0));
//!     assert_eq!(branch.audited_at, None, "it has just been opened");
//! }
//! let audited = run.audit().await?;
//! assert_eq!((audited[0].pending, audited[0].repairs), (4, 0));
//! # Ok(())
//! # }
//! ```
