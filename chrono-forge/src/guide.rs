//! Guides: how to think about durable code. Each example runs as a test.
//!
//! - [`beside`]: other crates that use SQLite, in one program and in one file
//! - [`durability`]: what is recorded when, what may run twice, what a crash costs
//! - [`determinism`]: what a body may do between its operations
//! - [`fan_out`]: children by the million, their cursors and results
//! - [`retries`]: what fails, how often it is tried again, recovery by hand
//! - [`periodic`]: tasks on a schedule, across DST and long sleeps
//! - [`log`]: what the engine tells, at which level, and what to do
//! - [`performance`]: what a run costs, where the time goes, what to change
//! - [`operating_postgres`]: for whoever runs the database: views, eight questions in SQL, sizes,
//!   deploys
//! - [`scaling`]: PostgreSQL, many processes, many hosts
//! - [`testing`]: tests of one's own workflows: days in milliseconds, death at every commit

pub mod beside;
pub mod determinism;
pub mod durability;
pub mod fan_out;
pub mod log;
pub mod operating_postgres;
pub mod performance;
pub mod periodic;
pub mod retries;
pub mod scaling;
pub mod testing;
