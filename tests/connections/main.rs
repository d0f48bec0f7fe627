//! Ways to a PostgreSQL server: on the application's own pool, through a pooler, encrypted, with few rights, to one
//! of several schemas, and to one that takes no writes.
//!
//! Each test starts a server of its own; where the programs that it needs are not installed it is skipped by name.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests, too, and who is skipped is told"
)]

#[cfg(feature = "postgres")]
mod addresses;
#[cfg(feature = "postgres")]
mod arrival;
#[cfg(feature = "postgres")]
mod copies;
#[cfg(feature = "postgres")]
mod counts;
#[cfg(feature = "postgres")]
mod demoted;
#[cfg(feature = "postgres")]
mod operating;
#[cfg(feature = "postgres")]
mod pool;
#[cfg(feature = "postgres")]
mod pooler;
#[cfg(feature = "postgres")]
mod roles;
#[cfg(feature = "postgres")]
mod sessions;
#[cfg(feature = "postgres")]
mod tls;
#[cfg(feature = "postgres")]
mod two_servers;
#[cfg(feature = "postgres")]
mod world;

#[cfg(not(feature = "postgres"))]
#[test]
#[ignore = "skipped: the whole suite needs the feature `postgres`"]
fn connections() {}
