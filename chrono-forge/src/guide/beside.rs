//! Other crates that use SQLite: versions, one file or two, what to do when versions clash.
//!
//! # One program, one SQLite
//!
//! SQLite is compiled in by the crate `libsqlite3-sys`, and cargo lets only one version of it into a program. So all
//! crates that use it have to agree on one. This crate takes `libsqlite3-sys` 0.30.1 to 0.38, cargo finds the newest on
//! which all agree, and nothing need be said:
//!
//! | beside | `libsqlite3-sys` | SQLite |
//! |---|---|---|
//! | nothing else | 0.38 | 3.53 |
//! | rusqlite 0.40 | 0.38 | 3.53 |
//! | sqlx 0.9, rusqlite 0.39 | 0.37 | 3.51.3 |
//! | rusqlite 0.38 | 0.36 | 3.51.1 |
//! | rusqlite 0.37 | 0.35 | 3.50.2 |
//! | sqlx 0.8 and what is built on it (sea-orm 1.1, ..), rusqlite 0.32 | 0.30.1 | 3.46 |
//!
//! `cargo tree -i libsqlite3-sys` shows which version it is and who asks for it. The repository has a program beside
//! each of sqlx 0.8, sqlx 0.9 and rusqlite, in the folder `beside`.
//!
//! # When versions clash
//!
//! ```text
//! error: failed to select a version for `libsqlite3-sys`.
//! package `libsqlite3-sys` links to the native library `sqlite3`, but it conflicts with a previous package ..
//! ```
//!
//! The message names the crate that asks for a version beyond the range, or two crates that do not agree. In this
//! order:
//!
//! 1. `cargo update`: a lock file may hold an older choice that is in nobody's way any more.
//! 2. Take a version of the other crate that is in the table. Newer than the table goes only as soon as Diesel, by which
//!    this crate speaks to databases, goes there (Diesel 2.3: up to 0.38).
//! 3. Two other crates that do not agree with each other are in the same trouble without this one: move the older one up.
//! 4. Use PostgreSQL: `chrono-forge = { path = "..", default-features = false, features =
//!    ["postgres"] }` links no SQLite at all, whatever the rest of the program does with it.
//! 5. Put the engine into a process of its own. Processes share a database file, not a library: one starts and wakes
//!    runs, the other executes them.
//!
//! # What an older SQLite costs
//!
//! Everything here is tested with the oldest and with the newest version. Two things are better from SQLite 3.51.3
//! (`libsqlite3-sys` 0.37) on, and the log says at `open` when it is older:
//!
//! - Where several processes, or connections of the application, write one file, older versions may lose commits if a
//!   checkpoint and another write meet within an instant. It is very rare, and it is [an error of
//!   SQLite](https://sqlite.org/wal.html#walresetbug) that every user of a write-ahead log has. It takes two
//!   connections that write: with one worker process and a file of the engine's own there is one.
//! - A write-ahead log that a reader has kept for long, and that is gigabytes large, is moved into the file beside the
//!   work. Before, the connection that writes moves it, and runs and heartbeats wait for that; keep readers short.
//!
//! A SQLite older than 3.46 is refused at `open`. It is linked only where the build was told to take the system's, by
//! the variable `LIBSQLITE3_SYS_USE_PKG_CONFIG`.
//!
//! # One file or two
//!
//! Both work. In a file of its own the engine waits for nobody, and the file can be copied, moved and restored by itself.
//! In one file the application's tables are beside the engine's, whose names all begin with `chrono_forge_`; one
//! backup has both. A transaction of the application then holds up commits of runs as long as it lasts: keep it short,
//! and give its connections what the engine's have, write-ahead logging and some patience:
//!
//! ```text
//! // sqlx
//! SqliteConnectOptions::new().filename("shop.db").create_if_missing(true)
//!     .journal_mode(SqliteJournalMode::Wal).busy_timeout(Duration::from_secs(5))
//! // rusqlite
//! conn.pragma_update(None, "journal_mode", "wal")?; // its patience is 5 s from the start
//! ```
//!
//! Either way a step and the application's write are two transactions: a process that dies between
//! them executes the step again. Make the write idempotent, as [`durability`](super::durability)
//! has it: a row whose key is made of the workflow, the run's key and the step's is entered once,
//! however often the step is executed.
