//! `stream(..)`: items of a stream, each with the token behind it as the durable cursor.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{FAILED, IDLE, Probe, World, scenario};
use futures::{Stream, StreamExt, stream as items};

/// Between two items of a steady stream: less than the pause that ends a batch.
const STEADY: Duration = Duration::from_millis(50);

#[workflow]
async fn streamed_leaf(n: u64) -> Result<u64> {
    Ok(n)
}

/// Numbers below `count` behind a token that is ten times the number. Waits before `wait at`, fails
/// once before `fail at`.
fn numbers(
    probe: &Probe,
    count: u64,
    token: Option<u64>,
) -> impl Stream<Item = Result<(u64, u64)>> {
    probe.note(format!("opened {token:?}"));
    let from = token.map_or(0, |token| token / 10 + 1);
    items::iter(from..count).then(async move |n| {
        if probe.is("wait") && probe.get("wait at") == n as i64 {
            probe.note("waits");
            probe.raised("go").await;
        }
        if probe.is("steady") {
            tokio::time::sleep(STEADY).await;
        }
        if probe.get("fail at") == n as i64 && n > 0 && probe.nth("fails") == 1 {
            anyhow::bail!("the stream broke");
        }
        probe.note("item");
        Ok((n, n * 10))
    })
}

#[workflow(retry = RetryPolicy::new().jitter(false))]
async fn streamed(probe: State<Probe>, count: u64, of: u64) -> Result<u64> {
    let children = branch!("grp", automerge = true, {
        let source = stream(|token| numbers(&probe, count, token));
        spawn_each!("n", of = of, source, |n| streamed_leaf(n))
    })
    .await?;
    Ok(children.fold(0, |sum, n| sum + n).await?)
}

const NAMES: [&str; 2] = [streamed::NAME, streamed_leaf::NAME];

fn cursor(world: &World) -> String {
    world.rows().record("p", "branch$grp").metadata.unwrap()
}

#[scenario]
async fn the_cursor_is_the_token_of_the_last_item(world: &World) {
    let forge = world.forge(NAMES).await;
    let run = forge.start("p", streamed(8, 3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 28);
    let children = world.rows().children("p").into_iter();
    let keys: Vec<_> = children.map(|child| child.key).collect();
    let expected: Vec<_> = (0..8).map(|n| format!("p$grp$n${n}")).collect();
    assert_eq!(keys, expected);
    assert!(
        cursor(world).contains(r#"{"token":70,"n":8}"#),
        "{}",
        cursor(world)
    );
    assert_eq!(world.probe.count("opened None"), 1);
}

#[scenario]
async fn an_empty_stream_seals_an_empty_branch(world: &World) {
    let forge = world.forge(NAMES).await;
    let run = forge.start("p", streamed(0, 3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 0);
    assert!(
        cursor(world).contains(r#"{"token":null,"n":0}"#),
        "{}",
        cursor(world)
    );
}

#[scenario]
async fn a_slow_stream_holds_no_item_back(world: &World) {
    world.probe.set("wait", 1);
    world.probe.set("wait at", 5);
    let forge = world.forge(NAMES).await;
    let run = forge.start("p", streamed(7, 1_000)).await.unwrap();
    world.noted("waits", 1).await;
    // The stream goes on only after its first items have become children.
    world
        .until(|| world.rows().find("p$grp$n$4").is_some())
        .await;
    assert!(
        cursor(world).contains(r#"{"token":40,"n":5}"#),
        "{}",
        cursor(world)
    );
    world.probe.set("go", 1);
    assert_eq!(run.result().await.unwrap(), 21);
}

#[scenario]
async fn items_that_come_steadily_do_not_wait_for_a_whole_batch(world: &World) {
    world.probe.set("steady", 1);
    let forge = world.forge(NAMES).await;
    let run = forge.start("p", streamed(100, 1_000)).await.unwrap();
    world
        .until(|| world.rows().find("p$grp$n$0").is_some())
        .await;
    assert!(world.probe.count("item") < 100, "the stream has ended");
    world.probe.set("steady", 0);
    assert_eq!(run.result().await.unwrap(), 4_950);
}

#[scenario]
async fn after_a_crash_the_stream_is_opened_behind_the_last_token(world: &World) {
    world.probe.set("wait", 1);
    world.probe.set("wait at", 5);
    let forge = world.forge([streamed::NAME]).await;
    forge.start("p", streamed(8, 3)).await.unwrap();
    world
        .until(|| world.rows().find("p$grp$n$4").is_some())
        .await;
    world.crash(&forge);
    drop(forge);
    world.probe.set("wait", 0);
    let forge = world.forge(NAMES).await;
    let run = forge.get::<streamed>("p").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 28);
    assert_eq!(world.probe.count("opened Some(40)"), 1);
    assert_eq!(world.rows().record("p", "branch$grp").spawned, 8);
}

#[scenario]
async fn an_error_of_a_stream_is_told_behind_what_came_before_it(world: &World) {
    world.probe.set("fail at", 4);
    let forge = world.forge(NAMES).await;
    let run = forge.start("p", streamed(8, 1_000)).await.unwrap();
    world.settle("p").await;
    assert_eq!(run.result().await.unwrap(), 28);
    assert_eq!(world.rows().errors("p")[0].message, "the stream broke");
    assert_eq!(world.probe.count("opened Some(30)"), 1);
    assert_eq!(world.probe.count("item"), 8);
}

#[scenario]
async fn a_stream_is_polled_no_further_than_two_batches_ahead_of_what_is_durable(world: &World) {
    // The children's name has its owner: claiming it would wait for who writes, too.
    let owner = world.forge([streamed_leaf::NAME]).await;
    owner.shutdown().await;
    world.probe.set("wait", 1);
    let forge = world.forge([streamed::NAME]).await;
    forge.start("p", streamed(100, 10)).await.unwrap();
    world.noted("waits", 1).await;
    // Nobody commits while this writes.
    let held = world.hold_writes();
    world.probe.set("go", 1);
    world.noted("item", 20).await;
    let further = world.until(|| world.probe.count("item") > 20);
    assert!(world.soon(further).await.is_none());
    assert!(world.rows().children("p").is_empty());
    drop(held);
    world
        .until(|| world.rows().find("p$grp$n$99").is_some())
        .await;
}

#[workflow]
async fn streamed_behind_null() -> Result<usize> {
    let children = branch!("grp", automerge = true, {
        let source = stream(|_: Option<()>| items::iter((0..8).map(|n| Ok((n, ())))));
        spawn_each!("n", of = 3, source, |n| streamed_leaf(n))
    })
    .await?;
    Ok(children.len())
}

#[scenario]
async fn a_token_that_reads_back_as_none_ends_the_run(world: &World) {
    let forge = world.forge([streamed_behind_null::NAME]).await;
    forge.start("p", streamed_behind_null()).await.unwrap();
    assert_eq!(world.settle("p").await.state, FAILED);
    let told = &world.rows().errors("p")[0].message;
    assert!(
        told.contains("spawn_each!") && told.contains("null"),
        "{told}"
    );
}

#[scenario]
async fn a_shutdown_does_not_wait_for_a_stream(world: &World) {
    world.probe.set("wait", 1);
    world.probe.set("wait at", 5);
    let builder = world.builder(NAMES).shutdown_grace(hours(1));
    let forge = builder.open().await.unwrap();
    forge.start("p", streamed(8, 3)).await.unwrap();
    world
        .until(|| world.rows().find("p$grp$n$4").is_some())
        .await;
    forge.shutdown().await;
    assert_eq!(world.rows().run("p").state, IDLE);
    world.probe.set("wait", 0);
    let forge = world.forge(NAMES).await;
    let run = forge.get::<streamed>("p").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 28);
    assert_eq!(world.probe.count("opened Some(40)"), 1);
    assert_eq!(world.rows().record("p", "branch$grp").spawned, 8);
}
