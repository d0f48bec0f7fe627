//! Bodies as values: drawn at random, interpreted inside one workflow.

use std::pin::Pin;

use chrono_forge::prelude::*;
use chrono_forge_tests::crash::Probe;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::leaves;

/// A piece of a body. Leaves have an id that no other leaf has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Piece {
    /// Pending for so many polls, failing so many times; with three failures it gives up.
    Step {
        id: u32,
        polls: u32,
        failures: i64,
    },
    /// Runs out of time so many times before it succeeds.
    Timed {
        id: u32,
        hangs: i64,
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
    /// A fan-out whose block has steps beside each other, and fails so many times beside them: at first
    /// after so many polls, then as soon as they are reached.
    Torn {
        id: u32,
        steps: u32,
        failures: u32,
        polls: u32,
    },
    /// A step (or a condition) that is let go and kept aside, until another operation is through.
    Aside {
        id: u32,
        is_condition: bool,
        failures: i64,
        meanwhile: Box<Piece>,
    },
    /// A step that runs out of time while the body keeps it aside and waits for an hour.
    Late {
        id: u32,
    },
    /// A join that is given up so many times before it is reached for good.
    Rejoin {
        id: u32,
        looks: u32,
        nap: u64,
    },
    Sequence(Vec<Piece>),
    Join(Vec<Piece>),
    /// The first arm that ends wins, the others are dropped.
    Race(Vec<Piece>),
    /// Drained in order of completion.
    Unordered(Vec<Piece>),
}

impl Piece {
    /// Random bodies with races, also of branches: those that lose give their children up.
    pub(crate) fn racing() -> impl Strategy<Value = Self> {
        let leaf = prop_oneof![6 => Self::leaf(), 1 => Self::fan_out()];
        Self::of(leaf.boxed(), |arms| arms.prop_map(Self::Race).boxed())
    }

    /// Random bodies with branches, and without races.
    pub(crate) fn branching() -> impl Strategy<Value = Self> {
        let leaf = prop_oneof![2 => Self::leaf(), 1 => Self::fan_out()];
        Self::of(leaf.boxed(), |arms| arms.prop_map(Self::Join).boxed())
    }

    /// A body that ends with a branch and a step.
    pub(crate) fn fan_out() -> impl Strategy<Value = Self> {
        prop_oneof![
            3 => (0..3_u32).prop_map(|children| Self::Branch { id: 0, children }),
            3 => Self::torn(),
            2 => (0..3_u32, 0..4_u64).prop_map(|(looks, nap)| Self::Rejoin { id: 0, looks, nap }),
        ]
    }

    pub(crate) fn torn() -> impl Strategy<Value = Self> {
        (1..4_u32, 0..3_u32, 0..9_u32).prop_map(|(steps, failures, polls)| Self::Torn {
            id: 0,
            steps,
            failures,
            polls,
        })
    }

    fn leaf() -> impl Strategy<Value = Self> {
        prop_oneof![
            32 => Self::operation(),
            4 => (any::<bool>(), 0..2_i64, 0..3_u32).prop_map(|(is_condition, failures, polls)| {
                // Quick: a run that could park waits out a grace for what is kept aside.
                let meanwhile = Self::Step {
                    id: 0,
                    polls,
                    failures: 0,
                };
                Self::Aside {
                    id: 0,
                    is_condition,
                    failures,
                    meanwhile: Box::new(meanwhile),
                }
            }),
            1 => (0..2_i64).prop_map(|hangs| Self::Timed { id: 0, hangs }),
        ]
    }

    fn operation() -> impl Strategy<Value = Self> {
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
        // A park of a kept step takes its grace, so there is rarely one, and then one.
        let late = prop::option::weighted(0.03, Just(Self::Late { id: 0 }));
        (prop::collection::vec(inner, 2..=4), late).prop_map(|(mut pieces, late)| {
            pieces.extend(late);
            let mut body = Self::Sequence(pieces);
            body.number(&mut 0);
            body
        })
    }

    /// Gives every leaf an id of its own.
    pub(crate) fn number(&mut self, next: &mut u32) {
        match self {
            Self::Step { id, .. }
            | Self::Timed { id, .. }
            | Self::Wait { id, .. }
            | Self::Until { id, .. }
            | Self::Repeat { id, .. }
            | Self::Torn { id, .. }
            | Self::Late { id }
            | Self::Rejoin { id, .. }
            | Self::Branch { id, .. } => {
                *id = *next;
                *next += 1;
            }
            Self::Aside { id, meanwhile, .. } => {
                *id = *next;
                *next += 1;
                meanwhile.number(next);
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
            | Self::Timed { id, .. }
            | Self::Branch { id, .. }
            | Self::Torn { id, .. }
            | Self::Late { id }
            | Self::Rejoin { id, .. }
            | Self::Wait { id, .. }
            | Self::Repeat { id, .. }
            | Self::Until { id, .. } => vec![*id],
            Self::Aside { id, meanwhile, .. } => {
                let mut all = meanwhile.operations();
                all.push(*id);
                all
            }
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

/// A body, and then a step under a key that the block of a branch in it has used.
#[workflow]
pub(crate) async fn reusing(
    cx: Context,
    probe: State<Probe>,
    body: Piece,
    branch: u32,
) -> Result<()> {
    let mut probe = (*probe).clone();
    probe.journal = probe.journal.turn_page();
    run(&cx, &probe, &body).await;
    step!("in-{branch}-0", {
        probe.complain("a key of a block was taken for another step's".to_owned());
        Ok(())
    })
    .await?;
    probe.complain("a step received what a block has recorded".to_owned());
    Ok(())
}

#[workflow]
pub(crate) async fn child(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
pub(crate) async fn napping(nap: u64) -> Result<u64> {
    wait!("nap", minutes(nap)).await;
    Ok(nap)
}

pub(crate) fn run<'a>(
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
            Piece::Aside { .. } | Piece::Late { .. } => leaves::kept_aside(cx, probe, piece).await,
            Piece::Branch { .. } | Piece::Torn { .. } | Piece::Rejoin { .. } => {
                leaves::fan_out(cx, probe, piece).await;
            }
            leaf => leaves::outcome(cx, probe, leaf).await,
        }
    })
}
