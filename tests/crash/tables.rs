//! A snapshot keyset over a table that changes while it is dispatched: no crash in either reading loses a
//! row, doubles one or asks for one again that has a child.

use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::{Probe, Site};
use chrono_forge_tests::shop::{self, customers};

use crate::sweep::Subject;

#[workflow]
async fn bill(cx: Context, probe: State<Probe>, id: i64) -> Result<u32> {
    Ok(step!("bill", probe.ok(cx.key(), "step$bill", id as u32)).await?)
}

/// Four pages, of which the second adds rows below and above it, and the third takes one away that the
/// first one has dispatched: that is durable by then, the second page may not be. Then as many pages once
/// more, of which the first finds a row without a child.
#[workflow]
pub(crate) async fn bill_all(probe: State<Probe>) -> Result<u32> {
    let billed = branch!("bills", automerge = true, {
        let rows = Keyset::snapshot(customers::table, customers::id);
        let rows = rows.select(customers::id).pool(probe.shop());
        spawn_each!("customer", of = 2, rows, |id: i64| {
            if id == 40 {
                shop::edit(
                    probe.shop(),
                    "INSERT OR IGNORE INTO customers VALUES (5, 'below', TRUE), (70, 'above', TRUE)",
                );
            }
            if id == 60 {
                shop::edit(probe.shop(), "DELETE FROM customers WHERE id = 20");
            }
            bill(id)
        })
    })
    .await?;
    Ok(billed.fold(0, |sum, id| sum + id).await?)
}

const TABLE: Subject<bill_all> = Subject {
    invocation: bill_all,
    site: |backend, batch_max| {
        let site = Site::new(backend, batch_max);
        shop::insert(site.probe.shop(), (10..=60).step_by(10));
        site
    },
    tries: |_| 1,
};

#[backends]
fn the_undisturbed_dispatch_is_what_it_is_meant_to_be(backend: Backend) {
    let rows = TABLE.undisturbed(backend, 1);
    let run = |key: &str| {
        let key = format!("root$bills$customer${key} ");
        rows.iter().filter(|row| row.contains(&key)).count()
    };
    for id in [10, 20, 30, 40, 50, 60, 70, 5] {
        assert!(run(&id.to_string()) > 0, "{id}: {rows:#?}");
    }
    let cursor = r#"{"pk":70,"n":8,"again":true}"#;
    assert!(rows.iter().any(|row| row.contains(cursor)), "{rows:#?}");
}

#[backends]
fn a_crash_before_any_commit_of_a_dispatch_loses_and_doubles_nothing(backend: Backend) {
    let commits = TABLE.sweep(backend, "commit.before");
    assert!((16..200).contains(&commits), "{commits} commits");
}

#[backends]
fn a_crash_after_any_commit_of_a_dispatch_loses_and_doubles_nothing(backend: Backend) {
    let commits = TABLE.sweep(backend, "commit.after");
    assert!((16..200).contains(&commits), "{commits} commits");
}
