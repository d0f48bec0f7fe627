//! Random bodies against their own replay.

mod body;
mod replay;
