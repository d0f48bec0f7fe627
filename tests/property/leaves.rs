//! What the leaves of a random body do.

use chrono_forge::prelude::*;
use chrono_forge_tests::crash::Probe;
use futures::future::try_join_all;

use crate::body::{Piece, child, napping, run};

/// One operation; what it gives is written down in the poll that gives it.
#[workflow(part)]
pub(crate) async fn outcome(cx: &Context, probe: &Probe, leaf: &Piece) {
    let journal = &probe.journal;
    match leaf {
        Piece::Step {
            id,
            polls,
            failures,
        } => {
            let retry = RetryPolicy::new().base(minutes(1)).jitter(false);
            let done = step!(
                "{id}",
                retry = retry,
                body(cx, probe, *id, *polls, *failures)
            )
            .await;
            let text = done.map_or_else(|_| "gave up".to_owned(), |value| value.to_string());
            journal.received(format!("step${id} {text}"));
        }
        Piece::Timed { id, hangs } => {
            let retry = RetryPolicy::new().base(minutes(1)).jitter(false);
            let done = step!("{id}", retry = retry, timeout = secs(2), {
                let row = format!("step${id}");
                if probe.failures(cx.key(), &row) < *hangs {
                    std::future::pending::<()>().await;
                }
                body(cx, probe, *id, 0, 0).await
            })
            .await;
            let text = done.map_or_else(|_| "gave up".to_owned(), |value| value.to_string());
            journal.received(format!("step${id} {text}"));
        }
        Piece::Wait { id, minutes: n } => {
            wait!("{id}", minutes(*n)).await;
            journal.received(format!("wait${id} over"));
        }
        Piece::Until { id, polls } => {
            let row = format!("wait_until${id}");
            let condition = wait_until!("{id}", every = minutes(5), {
                behind(cx, probe, &row);
                probe.flaky_condition(cx.key(), &row, *polls).await
            });
            let text = condition.await.map_or("gave up", |()| "true");
            journal.received(format!("{row} {text}"));
        }
        Piece::Repeat { id, ticks } => {
            let row = format!("repeat${id}");
            let repeat = repeat!(
                "{id}",
                every = minutes(3),
                until = probe.ticks_are_over(cx.key(), &row, *ticks),
                retry = RetryPolicy::new().base(minutes(1)).jitter(false),
                |tick| {
                    probe.journal.began(*id);
                    behind(cx, probe, &row);
                    let failures = tick.as_second() % 2;
                    let name = format!("{row}${}", tick.as_second());
                    probe.flaky(cx.key(), &name, failures).await?;
                    Ok(())
                }
            );
            let text = repeat.await.map_or("gave up", |()| "over");
            journal.received(format!("{row} {text}"));
        }
        _ => {}
    }
}

/// Branches, and what becomes of their joins.
#[workflow(part)]
pub(crate) async fn fan_out(cx: &Context, probe: &Probe, leaf: &Piece) {
    let journal = &probe.journal;
    let (id, branch) = match leaf {
        Piece::Branch { id, children } => {
            let count = *children;
            let branch = branch!("{id}", {
                let first = step!("in {id}", body(cx, probe, *id, 1, 0)).await?;
                journal.received(format!("step$in {id} {first}"));
                spawn_each!("c", of = 1, 0..count, |n| child(n))
            })
            .await;
            (*id, branch.is_ok())
        }
        Piece::Torn {
            id,
            steps,
            failures,
            polls,
        } => {
            let retry = RetryPolicy::new().base(secs(0)).jitter(false);
            let branch = branch!("{id}", retry = retry, {
                let inner = (0..*steps).map(|n| inner(cx, probe, *id, n));
                let (all, ()) = futures::try_join!(
                    try_join_all(inner),
                    tear(cx, probe, *id, *failures, *polls)
                )?;
                spawn_each!("c", all.into_iter(), |n| child(n))
            })
            .await;
            (*id, branch.is_ok())
        }
        Piece::Rejoin { id, looks, nap } => {
            let branch = branch!("{id}", { spawn!("c", napping(*nap)) }).await;
            journal.received(format!("branch${id} sealed"));
            let _given_up = branch;
            for look in 0..*looks {
                tokio::select! {
                    merged = merge!("{id}") => {
                        journal.received(format!("merge${id} {}", merged.is_ok()));
                        return;
                    }
                    () = wait!("{id}-{look}", minutes(2)) => {
                        journal.received(format!("wait${id}-{look} over"));
                    }
                }
            }
            let merged = merge!("{id}").await.is_ok();
            journal.received(format!("merge${id} {merged}"));
            return;
        }
        _ => return,
    };
    journal.received(format!("branch${id} sealed"));
    if branch {
        let merged = merge!("{id}").await.is_ok();
        journal.received(format!("merge${id} {merged}"));
    }
}

/// A step of a block that has others beside it.
#[workflow(part)]
async fn inner(cx: &Context, probe: &Probe, id: u32, n: u32) -> Result<u32> {
    let row = format!("step$in-{id}-{n}");
    let inner = step!("in-{id}-{n}", {
        probe.journal.began(id);
        behind(cx, probe, &row);
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        probe.flaky(cx.key(), &row, 0).await
    });
    Ok(inner.await?)
}

/// Fails so many times, counted over all lives: at first after so many polls, later at once.
async fn tear(cx: &Context, probe: &Probe, id: u32, failures: u32, polls: u32) -> Result<()> {
    let row = format!("tear${id}");
    probe.enter(cx.key(), &row);
    let times = probe.executions()[&(cx.key().to_owned(), row)];
    if times == 1 {
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
    }
    anyhow::ensure!(times > failures, "torn");
    Ok(())
}

/// What is let go, kept aside and polled again when something else is through, or too late.
#[workflow(part)]
pub(crate) async fn kept_aside(cx: &Context, probe: &Probe, leaf: &Piece) {
    let journal = &probe.journal;
    match leaf {
        Piece::Aside {
            id,
            is_condition: true,
            meanwhile,
            ..
        } => {
            let row = format!("wait_until${id}");
            let mut aside = Box::pin(wait_until!("{id}", every = minutes(5), {
                probe.journal.began(*id);
                behind(cx, probe, &row);
                probe.flaky_condition(cx.key(), &row, 0).await
            }));
            let _ = futures::poll!(&mut aside);
            run(cx, probe, meanwhile).await;
            let text = aside.await.map_or("gave up", |()| "true");
            journal.received(format!("{row} {text}"));
        }
        Piece::Aside {
            id,
            failures,
            meanwhile,
            ..
        } => {
            let retry = RetryPolicy::new().base(minutes(1)).jitter(false);
            let mut aside = Box::pin(step!(
                "{id}",
                retry = retry,
                body(cx, probe, *id, 0, *failures)
            ));
            let _ = futures::poll!(&mut aside);
            run(cx, probe, meanwhile).await;
            let done = aside.await;
            let text = done.map_or_else(|_| "gave up".to_owned(), |value| value.to_string());
            journal.received(format!("step${id} {text}"));
        }
        Piece::Late { id } => {
            let mut aside = Box::pin(step!("{id}", timeout = secs(3), {
                probe.enter(cx.key(), &format!("step${id}"));
                std::future::pending::<()>().await;
                Ok(())
            }));
            tokio::select! {
                biased;
                _ = &mut aside => return,
                () = wait!("{id}-first", secs(1)) => {}
            }
            journal.received(format!("wait${id}-first over"));
            wait!("{id}-long", hours(1)).await;
            journal.received(format!("wait${id}-long over"));
            drop(aside);
        }
        _ => {}
    }
}

/// User code begins: what the body has received is durable by then.
fn behind(cx: &Context, probe: &Probe, what: &str) {
    let path = probe.journal.path();
    let newest = path.iter().rfind(|outcome| !outcome.starts_with("step$in"));
    if let Some((row, _)) = newest.and_then(|outcome| outcome.split_once(' ')) {
        probe.behind(cx.key(), what, row);
    }
}

async fn body(cx: &Context, probe: &Probe, id: u32, polls: u32, failures: i64) -> Result<u32> {
    let row = format!("step${id}");
    probe.journal.began(id);
    behind(cx, probe, &row);
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
    probe.flaky(cx.key(), &row, failures).await?;
    Ok(id * 10)
}
