//! Stops at every commit, resumes, compares with an undisturbed run.

mod deaths;
mod kitchen;
mod sweep;
mod tables;
mod ticks;
