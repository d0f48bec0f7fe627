//! Bodies as values: drawn at random, interpreted inside one workflow.

use std::pin::Pin;

use chrono_forge::prelude::*;
use chrono_forge_tests::crash::Probe;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// A piece of a body. Leaves have an id that no other leaf has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Piece {
    /// Pending for so many polls, failing so many times; with three failures it gives up.
    Step {
        id: u32,
        polls: u32,
        failures: i64,
    },
    Wait {
        id: u32,
        minutes: u64,
    },
    /// True after so many polls.
    Until {
        id: u32,
        polls: i64,
    },
    /// A tick every few minutes, all of which fail once or none, until so many are over.
    Repeat {
        id: u32,
        ticks: i64,
    },
    /// A fan-out with a step in its block and so many children.
    Branch {
        id: u32,
        children: u32,
    },
    Sequence(Vec<Piece>),
    Join(Vec<Piece>),
    /// The first arm that ends wins, the others are dropped.
    Race(Vec<Piece>),
    /// Drained in order of completion.
    Unordered(Vec<Piece>),
}

impl Piece {
    /// Random bodies with races.
    pub(crate) fn racing() -> impl Strategy<Value = Self> {
        Self::of(Self::leaf().boxed(), |arms| {
            arms.prop_map(Self::Race).boxed()
        })
    }

    /// Random bodies with branches, and without races: a branch that lost would stay unmerged.
    pub(crate) fn branching() -> impl Strategy<Value = Self> {
        let branch = (0..3_u32).prop_map(|children| Self::Branch { id: 0, children });
        let leaf = prop_oneof![2 => Self::leaf(), 1 => branch];
        Self::of(leaf.boxed(), |arms| arms.prop_map(Self::Join).boxed())
    }

    fn leaf() -> impl Strategy<Value = Self> {
        prop_oneof![
            6 => (0..4_u32, 0..4_i64).prop_map(|(polls, failures)| Self::Step {
                id: 0,
                polls,
                // Most steps succeed at once.
                failures: if polls > 1 { failures } else { 0 },
            }),
            3 => (0..5_u64).prop_map(|minutes| Self::Wait { id: 0, minutes }),
            1 => (0..3_i64).prop_map(|polls| Self::Until { id: 0, polls }),
            1 => (0..3_i64).prop_map(|ticks| Self::Repeat { id: 0, ticks }),
        ]
    }

    fn of(
        leaf: BoxedStrategy<Self>,
        last: impl Fn(BoxedStrategy<Vec<Self>>) -> BoxedStrategy<Self> + 'static,
    ) -> impl Strategy<Value = Self> {
        let inner = leaf.prop_recursive(3, 14, 4, move |inner| {
            let some = prop::collection::vec(inner, 2..=4).boxed();
            prop_oneof![
                some.clone().prop_map(Self::Sequence),
                some.clone().prop_map(Self::Join),
                some.clone().prop_map(Self::Unordered),
                last(some),
            ]
        });
        prop::collection::vec(inner, 2..=4).prop_map(|pieces| {
            let mut body = Self::Sequence(pieces);
            body.number(&mut 0);
            body
        })
    }

    /// Gives every leaf an id of its own.
    pub(crate) fn number(&mut self, next: &mut u32) {
        match self {
            Self::Step { id, .. }
            | Self::Wait { id, .. }
            | Self::Until { id, .. }
            | Self::Repeat { id, .. }
            | Self::Branch { id, .. } => {
                *id = *next;
                *next += 1;
            }
            Self::Sequence(pieces)
            | Self::Join(pieces)
            | Self::Race(pieces)
            | Self::Unordered(pieces) => pieces.iter_mut().for_each(|piece| piece.number(next)),
        }
    }

    fn operations(&self) -> Vec<u32> {
        match self {
            Self::Step { id, .. }
            | Self::Branch { id, .. }
            | Self::Wait { id, .. }
            | Self::Repeat { id, .. }
            | Self::Until { id, .. } => vec![*id],
            Self::Sequence(pieces)
            | Self::Join(pieces)
            | Self::Race(pieces)
            | Self::Unordered(pieces) => pieces.iter().flat_map(Self::operations).collect(),
        }
    }
}

/// Runs a body; gives the outcomes in the order in which it received them.
#[workflow]
pub(crate) async fn random(cx: Context, probe: State<Probe>, body: Piece) -> Result<Vec<String>> {
    let mut probe = (*probe).clone();
    probe.journal = probe.journal.turn_page();
    run(&cx, &probe, &body).await;
    Ok(probe.journal.path())
}

#[workflow]
pub(crate) async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

fn run<'a>(
    cx: &'a Context,
    probe: &'a Probe,
    piece: &'a Piece,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        match piece {
            Piece::Sequence(pieces) => {
                for piece in pieces {
                    run(cx, probe, piece).await;
                }
            }
            Piece::Join(arms) => {
                futures::future::join_all(arms.iter().map(|arm| run(cx, probe, arm))).await;
            }
            Piece::Race(arms) => {
                let racing = arms.iter().map(|arm| run(cx, probe, arm));
                let ((), won, _) = futures::future::select_all(racing).await;
                let lost = arms.iter().enumerate().filter(|(n, _)| *n != won);
                probe
                    .journal
                    .decided(lost.flat_map(|(_, arm)| arm.operations()).collect());
            }
            Piece::Unordered(arms) => {
                let mut order: FuturesUnordered<_> =
                    arms.iter().map(|arm| run(cx, probe, arm)).collect();
                while order.next().await.is_some() {}
            }
            leaf => outcome(cx, probe, leaf).await,
        }
    })
}

/// One operation; what it gives is written down in the poll that gives it.
#[workflow(part)]
async fn outcome(cx: &Context, probe: &Probe, leaf: &Piece) {
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
        Piece::Wait { id, minutes: n } => {
            wait!("{id}", minutes(*n)).await;
            journal.received(format!("wait${id} over"));
        }
        Piece::Until { id, polls } => {
            let row = format!("wait_until${id}");
            let condition = wait_until!(
                "{id}",
                every = minutes(5),
                probe.flaky_condition(cx.key(), &row, *polls)
            );
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
                    let failures = tick.as_second() % 2;
                    let name = format!("{row}${}", tick.as_second());
                    probe.flaky(cx.key(), &name, failures).await?;
                    Ok(())
                }
            );
            let text = repeat.await.map_or("gave up", |()| "over");
            journal.received(format!("{row} {text}"));
        }
        Piece::Branch { id, children } => {
            let count = *children;
            let branch = branch!("{id}", {
                let first = step!("in {id}", body(cx, probe, *id, 1, 0)).await?;
                journal.received(format!("step$in {id} {first}"));
                spawn_each!("c", of = 1, 0..count, |n| child(n))
            })
            .await;
            journal.received(format!("branch${id} sealed"));
            if let Ok(branch) = branch {
                let all = merge!(branch).await;
                let text = all.is_ok();
                journal.received(format!("merge${id} {text}"));
            }
        }
        _ => {}
    }
}

async fn body(cx: &Context, probe: &Probe, id: u32, polls: u32, failures: i64) -> Result<u32> {
    let row = format!("step${id}");
    probe.journal.began(id);
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
    probe.flaky(cx.key(), &row, failures).await?;
    Ok(id * 10)
}
