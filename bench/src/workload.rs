//! The workloads: what is measured, beside which floor, against which goal.

pub mod crowd;
pub mod fanout;
pub mod floor;
pub mod starvation;
pub mod steps;
pub mod storm;
pub mod wakes;
