//! Stops at every commit, resumes, compares with an undisturbed run.

mod audits;
mod deaths;
mod kitchen;
mod leaps;
mod sweep;
mod tables;
mod ticks;
mod trouble;
