//! When a failed attempt is tried again. Pure: no clock, no I/O; randomness comes in.
//!
//! A [`RetryPolicy`] says how often and after which delays, and may name the failures that it covers.
//! [`RetryPolicies`] is what every site takes: one policy, or an ordered list of which the first that
//! covers a failure decides. Each policy of a list has a budget of its own, kept by name with the record.

mod filter;
mod list;
mod policy;
#[cfg(test)]
mod property;

pub use filter::Cause;
pub use list::{Decision, EmptyPolicies, RetryPolicies, Tries};
pub use policy::RetryPolicy;
