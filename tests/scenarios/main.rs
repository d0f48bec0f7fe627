//! Whole workflows through the facade, on virtual time. README.md says which sentence of the design
//! and which scenario of the original each test is about.

#![allow(
    clippy::unwrap_used,
    reason = "bodies and helpers of tests are tests, too"
)]

mod alike;
mod applications;
mod aside;
mod audits;
mod automerge;
mod barrier;
mod beside;
mod bounds;
mod branches;
mod budgets;
mod catch_up;
mod clocks;
mod completion;
mod concurrency;
mod conditions;
mod context;
mod destructors;
mod dropped;
mod ends;
mod errors;
mod execution;
mod faults;
mod foreign;
mod gates;
mod giving_up;
mod handles;
mod hearing;
mod hundredfold;
mod identity;
mod keyset;
mod leaps;
mod liveness;
mod long_keys;
mod merge;
mod migrations;
mod nested;
mod older_keys;
mod one_value;
mod pagers;
mod panics;
mod parts;
mod policies;
mod queues;
mod reads;
mod recovery;
mod repeat_failures;
mod repeat_hazards;
mod repeats;
mod replay;
mod restored;
mod results;
mod retries;
mod sequences;
mod serving;
mod settling;
mod shutdown;
mod skipping;
mod spawn_each;
mod stall_and_fail;
mod standstill;
mod starts;
mod state;
mod statements;
mod steps;
mod streams;
mod telling;
mod unlock;
mod unseen;
mod unserved;
mod updates;
mod waits;
mod workflow_retry;
mod writes;
