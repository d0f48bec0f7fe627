//! What the stores have in common and no SQL is in.

pub(super) mod args;
pub(super) mod arrivals;
pub(super) mod audits;
pub(super) mod beats;
pub(super) mod blocked;
pub(super) mod claim;
pub(super) mod claimed;
pub(super) mod codes;
pub(super) mod completions;
pub(super) mod context;
pub(super) mod copies;
pub(super) mod dispatch;
pub(super) mod end;
pub(super) mod failures;
pub(super) mod held;
pub(super) mod import;
pub(super) mod namesakes;
pub(super) mod pending;
pub(super) mod plain;
pub(super) mod pool;
pub(super) mod schema;
pub(super) mod serving;
pub(super) mod standstill;
pub(super) mod tail;
