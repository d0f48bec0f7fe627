//! Random bodies against their own replay.

mod body;
mod leaves;
mod replay;
