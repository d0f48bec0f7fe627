//! Many processes on one PostgreSQL server: killed, frozen, cut off, robbed of replies, the server
//! restarted and the schema changed under them. Every run completes once and every step is recorded
//! once, without help.
//!
//! Each test starts a server of its own, so that it may be stopped; where none is installed it is skipped by name.
//! `CHRONO_FORGE_CLUSTER_CHILDREN`, `.._STEPS` of each, `.._SECONDS` (at least so long) and `.._LEASE_MS` make them large; the defaults are small.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests are tests, too, and who asks for figures reads them"
)]

#[cfg(feature = "postgres")]
mod calls;
#[cfg(feature = "postgres")]
mod deploys;
#[cfg(feature = "postgres")]
mod drain;
#[cfg(feature = "postgres")]
mod fleet;
#[cfg(feature = "postgres")]
mod frozen;
#[cfg(feature = "postgres")]
mod lanes;
#[cfg(feature = "postgres")]
mod outage;
#[cfg(feature = "postgres")]
mod replies;

#[cfg(not(feature = "postgres"))]
#[test]
#[ignore = "skipped: the whole suite needs the feature `postgres`"]
fn cluster() {}
