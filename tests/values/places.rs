//! One workflow a place: it stores a value there and tells what it is given back, in each of three
//! passes.

use chrono_forge::ContextError;
use chrono_forge::prelude::*;
use futures::{StreamExt, stream as items};

use crate::kinds::{Kind, ReadAs, Shaped, read_as, reading};
use crate::shelf::Shelf;

/// Longer than anything else waits.
pub(crate) const PAUSE_HOURS: u64 = 1_000;

/// All workflows of this suite that carry values.
pub(crate) const NAMES: [&str; 12] = [
    as_argument::NAME,
    as_output::NAME,
    as_step::NAME,
    as_block::NAME,
    as_page_token::NAME,
    as_stream_token::NAME,
    as_argument_of_child::NAME,
    as_result_of_child::NAME,
    as_result_of_children::NAME,
    in_context::NAME,
    in_context_of_parts::NAME,
    token_leaf::NAME,
];

/// Each pass begins, and a later one goes on behind it.
#[workflow(part)]
async fn pauses(cx: &Context) {
    wait!("first", hours(PAUSE_HOURS)).await;
    wait!("second", hours(PAUSE_HOURS)).await;
}

#[workflow]
pub(crate) async fn as_argument(
    cx: Context,
    shelf: State<Shelf>,
    kind: ReadAs,
    value: Shaped,
) -> Result<()> {
    assert_eq!(kind.0, value.kind());
    shelf.saw(cx.key(), &value);
    pauses(&cx).await;
    Ok(())
}

#[workflow]
pub(crate) async fn as_output(shelf: State<Shelf>, n: usize) -> Result<Shaped> {
    Ok(shelf.value(n))
}

#[workflow]
pub(crate) async fn as_step(cx: Context, shelf: State<Shelf>, n: usize) -> Result<()> {
    let store = step!("store", { Ok(shelf.value(n)) });
    let value = reading(shelf.kind(n), store).await?;
    shelf.saw(cx.key(), &value);
    pauses(&cx).await;
    Ok(())
}

#[workflow]
pub(crate) async fn as_block(cx: Context, shelf: State<Shelf>, n: usize) -> Result<()> {
    let block = branch!("b", automerge = true, { shelf.value(n) });
    let value = reading(shelf.kind(n), block).await?;
    shelf.saw(cx.key(), &value);
    pauses(&cx).await;
    Ok(())
}

#[workflow]
pub(crate) async fn token_leaf(n: u32) -> Result<u32> {
    Ok(n)
}

/// Tells the token of its second page as often as that is fetched.
#[workflow]
pub(crate) async fn as_page_token(cx: Context, shelf: State<Shelf>, n: usize) -> Result<()> {
    let block = branch!("b", automerge = true, {
        let fetch = |token: Option<Shaped>| {
            let (shelf, key) = (&shelf, cx.key());
            async move {
                let Some(token) = token else {
                    return Ok((vec![1_u32], Some(shelf.value(n))));
                };
                shelf.saw(key, &token);
                if shelf.is_held() {
                    std::future::pending::<()>().await;
                }
                Ok((vec![2], None))
            }
        };
        spawn_each!("c", pages(fetch), |n| token_leaf(n))
    });
    reading(shelf.kind(n), block).await?;
    Ok(())
}

/// Tells the token as often as its stream is opened behind it.
#[workflow]
pub(crate) async fn as_stream_token(cx: Context, shelf: State<Shelf>, n: usize) -> Result<()> {
    let block = branch!("b", automerge = true, {
        let source = stream(|token: Option<Shaped>| {
            let item = items::iter([Ok((1_u32, shelf.value(n)))]);
            match token {
                None => item.chain(items::pending()).boxed(),
                Some(token) => {
                    shelf.saw(cx.key(), &token);
                    match shelf.is_held() {
                        true => items::pending().boxed(),
                        false => item.boxed(),
                    }
                }
            }
        });
        // What is not full waits a while for more.
        spawn_each!("c", of = 1, source, |n| token_leaf(n))
    });
    reading(shelf.kind(n), block).await?;
    Ok(())
}

#[workflow]
pub(crate) async fn as_argument_of_child(shelf: State<Shelf>, n: usize) -> Result<()> {
    let (kind, value) = (ReadAs(shelf.kind(n)), shelf.value(n));
    branch!("b", automerge = true, {
        spawn!("one", as_argument(kind, value.clone()));
        spawn_each!("more", [value.clone()], |value| as_argument(kind, value))
    })
    .await?;
    Ok(())
}

#[workflow]
pub(crate) async fn as_result_of_child(cx: Context, shelf: State<Shelf>, n: usize) -> Result<()> {
    let child = branch!("b", automerge = true, { spawn!("c", as_output(n)) }).await?;
    let output = reading(shelf.kind(n), child.output()).await?;
    shelf.saw(cx.key(), &output);
    pauses(&cx).await;
    Ok(())
}

#[workflow]
pub(crate) async fn as_result_of_children(
    cx: Context,
    shelf: State<Shelf>,
    n: usize,
) -> Result<()> {
    let children = branch!("b", automerge = true, {
        spawn_each!("c", [n, n], |n| as_output(n))
    })
    .await?;
    let kind = shelf.kind(n);
    let last = reading(kind, children.fold(None, |_, value| Some(value))).await?;
    let all = reading(kind, children.collect()).await?;
    for value in last.iter().chain(&all) {
        shelf.saw(cx.key(), value);
    }
    pauses(&cx).await;
    Ok(())
}

/// The name of a refusal.
fn named<T>(written: Result<T, ContextError>) -> String {
    match written {
        Ok(_) => "written".to_owned(),
        Err(ContextError::Unstorable { .. }) => "unstorable".to_owned(),
        Err(ContextError::TooLarge { .. }) => "too large".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

/// The entry as the body is given it.
fn entry(cx: &Context, key: &str, kind: Kind) -> String {
    read_as(kind);
    match cx.get::<Shaped>(key) {
        Ok(None) => "none".to_owned(),
        Ok(Some(value)) => crate::model::told(&value),
        Err(ContextError::Undecodable { .. }) => "undecodable".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

#[workflow]
pub(crate) async fn in_context(cx: Context, shelf: State<Shelf>, n: usize) -> Result<()> {
    let value = shelf.value(n);
    let refusals = step!("write", {
        cx.set("removed", &1)?;
        let set = named(cx.set("set", &value));
        let once = named(cx.set_once("once", &value));
        let all = named(cx.set_all([("all", value.clone())]));
        read_as(value.kind());
        let updated = named(cx.update("updated", |_: Option<Shaped>| value.clone()));
        assert!(cx.remove("removed"));
        Ok([set, once, all, updated])
    });
    let refusals = refusals.await?;
    let body = named(cx.set("body", &value));
    for (name, refusal) in ["set", "once", "all", "updated", "body"]
        .into_iter()
        .zip(refusals.iter().chain([&body]))
    {
        shelf.noted(
            cx.key(),
            format!("{refusal}: {}", entry(&cx, name, value.kind())),
        );
    }
    assert!(!cx.contains("removed"));
    pauses(&cx).await;
    Ok(())
}

/// What a tick, a condition, a block and a step in a block write.
#[workflow]
pub(crate) async fn in_context_of_parts(cx: Context, shelf: State<Shelf>, n: usize) -> Result<()> {
    let value = shelf.value(n);
    repeat!(
        "tick",
        every = secs(1),
        until = { Ok(cx.contains("ticked")) },
        |_tick| {
            let ticked = named(cx.set("tick", &value));
            Ok(cx.set("ticked", &ticked)?)
        }
    )
    .await?;
    wait_until!("look", {
        let looked = named(cx.set("look", &value));
        cx.set("looked", &looked)?;
        Ok(true)
    })
    .await?;
    branch!("b", automerge = true, {
        step!("inner", {
            let inner = named(cx.set("inner", &value));
            Ok(cx.set("innered", &inner)?)
        })
        .await?;
        let block = named(cx.set("block", &value));
        cx.set("blocked", &block)?;
    })
    .await?;
    for (name, refused) in [
        ("tick", "ticked"),
        ("look", "looked"),
        ("inner", "innered"),
        ("block", "blocked"),
    ] {
        let refusal: String = cx.fetch(refused, String::new())?;
        shelf.noted(
            cx.key(),
            format!("{refusal}: {}", entry(&cx, name, value.kind())),
        );
    }
    pauses(&cx).await;
    Ok(())
}
