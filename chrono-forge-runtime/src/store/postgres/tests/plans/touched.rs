//! What a claim and an operator's question touch of a crowd: in proportion to what they answer.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::crowd::{Crowd, PARENT};
use crate::record::*;
use crate::store::conformance::fixture::*;
use crate::store::postgres::claim::Marks;
use crate::store::postgres::connection::Purpose;
use crate::store::postgres::{
    audits, claim, failures, naming, queue, records, recovery, results, worker,
};
use crate::store::shared::arrivals::Arrivals;
use crate::store::*;

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Rows that this look or change touches; it is taken back.
fn rows<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> QueryResult<T>) -> i64 {
    conn.batch_execute("BEGIN").unwrap();
    let before = rows_so_far(conn);
    work(conn).unwrap();
    let touched = rows_so_far(conn) - before;
    conn.batch_execute("ROLLBACK").unwrap();
    touched
}

/// Includes those of earlier transactions that the server has not added up yet.
fn rows_so_far(conn: &mut PgConnection) -> i64 {
    let sum = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint AS rows
        FROM pg_stat_xact_user_tables WHERE schemaname = current_schema()";
    let sums: Vec<Rows> = diesel::sql_query(sum).load(conn).unwrap();
    sums[0].rows
}

/// A bound in rows for an answer of so many: a few look-ups each, and some to get there.
fn bound(answered: u32) -> i64 {
    4 * i64::from(answered) + 50
}

pub(super) fn few_rows(crowd: &mut Crowd) {
    let mut reading = crowd.store.source.session(Purpose::Read);
    let mut writing = crowd.store.source.session(Purpose::Write);
    let conn = reading.connect().unwrap();
    let looks = queue_looks(conn).into_iter().chain(branch_looks(conn));
    for (look, answered, rows) in looks {
        assert!(rows <= bound(answered), "{look} touches {rows} rows");
    }
    let conn = writing.connect().unwrap();
    claims(conn, crowd.forge.worker);
    retries(conn);
}

/// The name of a look, rows that it answers, rows that it touches.
type Look = (&'static str, u32, i64);

fn queue_looks(conn: &mut PgConnection) -> Vec<Look> {
    let served = names(&["flow", "child"]);
    let queues = names(&["default"]);
    let marks = Marks::default();
    let now = at(0);
    vec![
        (
            "next_wake",
            2,
            rows(conn, |conn| {
                queue::next_wake(conn, &queues, &served, &marks)
            }),
        ),
        (
            "unknown_due",
            4,
            rows(conn, |conn| queue::unknown_due(conn, &served, now, 9)),
        ),
        (
            "unserved",
            4,
            rows(conn, |conn| queue::unserved(conn, now, 9)),
        ),
        (
            "namesakes",
            4,
            rows(conn, |conn| {
                naming::namesakes(conn, "child", "parent$b$s$200", 9)
            }),
        ),
        ("live", 2, rows(conn, worker::live)),
    ]
}

fn branch_looks(conn: &mut PgConnection) -> Vec<Look> {
    let spawn = SpawnPath {
        run: RunId(PARENT),
        branch: "branch$b".into(),
        key: "parent$b$s".to_owned(),
    };
    let first = FailurePlace {
        child: RunId(0),
        rest: None,
    };
    let now = at(0);
    vec![
        (
            "blocked_children",
            20,
            rows(conn, |conn| {
                records::blocked_children(conn, RunId(PARENT), 20)
            }),
        ),
        (
            "pending",
            20,
            rows(conn, |conn| records::pending(conn, RunId(PARENT), 20)),
        ),
        (
            "outputs",
            100,
            rows(conn, |conn| results::outputs(conn, &spawn, RunId(0), 100)),
        ),
        (
            "failures",
            100,
            rows(conn, |conn| failures::page(conn, &spawn, &first, 100, 100)),
        ),
        (
            "work",
            100,
            rows(conn, |conn| {
                audits::work(conn, RecordId(0), 100, (now, now))
            }),
        ),
        (
            "counters",
            4,
            rows(conn, |conn| audits::counters(conn, RecordId(1))),
        ),
    ]
}

fn claims(conn: &mut PgConnection, worker: WorkerId) {
    let served = names(&["flow", "child"]);
    let marks = Marks::default();
    for most in [1, 64] {
        let request = ClaimRequest {
            worker,
            now: at(0),
            queues: &[room(most)],
            workflows: &served,
            lowest_first: false,
            quarantine_slot: true,
            quarantine_from: LIMITS.quarantine_from,
            company: Suspects::none(LIMITS),
        };
        let touched = rows(conn, |conn| {
            let taken = claim::claim_due(conn, &request, true, &marks)?;
            assert_eq!(taken.claims.runs.len() as u32, most);
            Ok(())
        });
        assert!(
            touched <= bound(most),
            "a claim of {most} touches {touched} rows"
        );
    }
}

fn retries(conn: &mut PgConnection) {
    let page = BlockedPage {
        filter: &RetryFilter::new(),
        branch: Some(RecordId(1)),
        after: RunId(0),
        until: at(1_000_000),
        limit: 20,
    };
    let touched = rows(conn, |conn| {
        recovery::retry_blocked(conn, &page, Arrivals::default().at(at(0)))
    });
    assert!(
        touched <= 3 * bound(20),
        "retry_blocked touches {touched} rows"
    );
}
