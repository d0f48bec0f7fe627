//! Stops at every commit, resumes, compares with an undisturbed run.

mod kitchen;
mod sweep;
