//! Random values through every place that stores one: each reads back equal, on every pass and on
//! the other database, or is refused by name.

#![allow(
    clippy::unwrap_used,
    reason = "bodies and helpers of tests are tests, too"
)]

mod cases;
mod failures;
mod kinds;
mod model;
mod moves;
mod places;
mod said;
mod shapes;
mod shelf;
mod stays;
