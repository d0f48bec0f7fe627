//! A workflow that uses every primitive, with an order of outcomes that only its clock decides.

use chrono_forge::prelude::*;
use chrono_forge_tests::crash::Probe;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

#[workflow]
pub(crate) async fn leaf(cx: Context, probe: State<Probe>, n: u32) -> Result<u32> {
    let ten = step!("ten", probe.ok(cx.key(), "step$ten", n * 10)).await?;
    Ok(ten + 1)
}

/// A child with children of its own.
#[workflow]
pub(crate) async fn nest(cx: Context, probe: State<Probe>, n: u32) -> Result<u32> {
    let first = step!("first", probe.ok(cx.key(), "step$first", n)).await?;
    let leaves = branch!("leaves", automerge = true, {
        spawn_each!("leaf", 0..first + 1, |i| leaf(i))
    })
    .await?;
    wait!("rest", minutes(10)).await;
    Ok(leaves.collect().await?.iter().sum())
}

/// A child that gives up on its first step and is caught by its own body.
#[workflow]
pub(crate) async fn loser(cx: Context, probe: State<Probe>) -> Result<String> {
    let lost = step!(
        "lose",
        retry = RetryPolicy::none(),
        probe.flaky(cx.key(), "step$lose", 9)
    )
    .await;
    Ok(lost.map_or_else(|error| error.to_string(), |won| won.to_string()))
}

#[workflow]
pub(crate) async fn kitchen(cx: Context, probe: State<Probe>) -> Result<String> {
    cx.set("begun", "yes")?;
    let plain = step!("plain", probe.ok(cx.key(), "step$plain", 5)).await?;
    cx.set("plain", &plain)?;
    let caught = failures(&cx, &probe).await?;
    step!("inside", {
        probe.enter(cx.key(), "step$inside");
        cx.update("plain", |old: Option<u32>| old.unwrap_or(0) + 1)?;
        cx.set("inside", "written")?;
        Ok(())
    })
    .await?;
    pauses(&cx, &probe).await?;
    let fanned = fan_out(&cx, &probe).await?;
    let together = together(&cx, &probe).await?;
    cx.remove("begun");
    let last = step!("last", probe.ok(cx.key(), "step$last", 1)).await?;
    Ok(format!("{plain} {caught} {fanned} {together} {last}"))
}

#[workflow(part)]
async fn failures(cx: &Context, probe: &Probe) -> Result<String> {
    let steady = RetryPolicy::new().jitter(false);
    let flaky = step!(
        "flaky",
        retry = steady,
        probe.flaky(cx.key(), "step$flaky", 2)
    )
    .await?;
    let bad = step!(
        "bad",
        retry = RetryPolicy::none(),
        probe.flaky(cx.key(), "step$bad", 9)
    )
    .await;
    let late = step!(
        "late",
        retry = RetryPolicy::none(),
        timeout = secs(1),
        probe.forever(cx.key(), "step$late")
    )
    .await;
    let (bad, late) = (bad.is_err(), late.is_err_and(|error| error.is_timeout));
    step!("mend", probe.ok(cx.key(), "step$mend", 0)).await?;
    Ok(format!("{flaky}/{bad}/{late}"))
}

#[workflow(part)]
async fn pauses(cx: &Context, probe: &Probe) -> Result<()> {
    wait!("nap", hours(1)).await;
    wait_until!(
        "warm",
        every = minutes(5),
        timeout = hours(2),
        probe.flaky_condition(cx.key(), "wait_until$warm", 2)
    )
    .await?;
    continue_if!(
        "gate",
        timeout = days(9),
        probe.gate(cx.key(), "continue_if$gate")
    )
    .await?;
    Ok(())
}

#[workflow(part)]
async fn fan_out(cx: &Context, probe: &Probe) -> Result<u32> {
    let (one, many) = branch!("auto", automerge = true, {
        let wanted = step!("wanted", probe.ok(cx.key(), "step$wanted", 5)).await?;
        let one = spawn!("one", leaf(100));
        let many = spawn_each!("many", of = 2, 0..wanted, |n| leaf(n));
        (one, many)
    })
    .await?;
    let paged = branch!("paged", { spawn_each!("page", pages(page), |n| nest(n)) }).await?;
    let named = branch!("named", { spawn!("loser", loser()) }).await?;
    let between = step!("between", probe.ok(cx.key(), "step$between", 3)).await?;
    merge!("named").await?;
    drop(named);
    let paged = merge!(paged).await?;
    let mut sum = one.output().await? + between;
    sum += many.collect().await?.iter().sum::<u32>();
    sum += paged.collect().await?.iter().sum::<u32>();
    Ok(sum)
}

async fn page(token: Option<u32>) -> Result<(Vec<u32>, Option<u32>)> {
    Ok(match token {
        None => (vec![0, 1], Some(1)),
        Some(_) => (vec![2], None),
    })
}

#[workflow(part)]
async fn together(cx: &Context, probe: &Probe) -> Result<String> {
    let (a, b, ()) = futures::join!(
        step!("left", probe.ok(cx.key(), "step$left", 1)),
        step!("right", probe.slowly(cx.key(), "step$right", 3)),
        wait!("beside", minutes(3)),
    );
    let first = tokio::select! {
        biased;
        () = wait!("long", hours(3)) => "long",
        () = wait!("short", hours(1)) => "short",
    };
    let mut order = FuturesUnordered::new();
    for n in [3, 1, 2] {
        order.push(async move {
            wait!("in {n}", minutes(n)).await;
            step!(
                "after {n}",
                probe.ok(cx.key(), &format!("step$after {n}"), n as u32)
            )
            .await
        });
    }
    let mut path = format!("{}{}{first}", a?, b?);
    while let Some(next) = order.next().await {
        path.push_str(&next?.to_string());
    }
    Ok(path)
}
