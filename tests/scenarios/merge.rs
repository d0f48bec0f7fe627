//! `merge!`: by handle, vector, name, several; children that fail; wake-ups of the parent.

use chrono_forge::RunError;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, FAILED, IDLE, Probe, World, scenario};

#[workflow]
async fn add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

#[workflow]
async fn by_handle() -> Result<u64> {
    let one = branch!("one", { spawn!("x", add(1, 0)) }).await?;
    let two = branch!("two", { (spawn!("x", add(2, 0)), 7_u64) }).await?;
    let (x, (y, seven)) = merge!(one, two).await?;
    Ok(x.output().await? + y.output().await? + seven)
}

#[scenario]
async fn several_handles_give_their_values_as_a_tuple_in_order(world: &World) {
    let forge = world.forge([by_handle::NAME, add::NAME]).await;
    let run = forge.start("p", by_handle()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
    let order = ["branch$one", "branch$two", "merge$one,two"];
    assert_eq!(world.rows().order("p"), order);
}

#[workflow]
async fn by_vector(count: u64) -> Result<u64> {
    let mut branches = Vec::new();
    for i in 0..count {
        branches.push(branch!("b{i}", { spawn!("x", add(i, 1)) }).await?);
    }
    let mut sum = 0;
    for child in merge!(branches).await? {
        sum += child.output().await?;
    }
    Ok(sum)
}

#[scenario]
async fn a_vector_of_handles_gives_a_vector_also_an_empty_one(world: &World) {
    let forge = world.forge([by_vector::NAME, add::NAME]).await;
    let run = forge.start("p", by_vector(3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 6);
    assert_eq!(world.rows().record("p", "merge$b0,b1,b2").state, 1);
    let none = forge.start("none", by_vector(0)).await.unwrap();
    assert_eq!(none.result().await.unwrap(), 0);
    assert!(world.rows().records("none").is_empty());
}

#[workflow]
async fn by_name() -> Result<()> {
    let _b = branch!("b", {
        spawn!("x", add(1, 2));
    })
    .await?;
    let _a = branch!("a", {
        spawn!("x", add(1, 2));
    })
    .await?;
    merge!("b", "a", "b").await?;
    Ok(())
}

#[scenario]
async fn a_name_gives_nothing_and_the_row_is_named_by_the_sorted_set(world: &World) {
    let forge = world.forge([by_name::NAME, add::NAME]).await;
    forge
        .start("p", by_name())
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    assert_eq!(world.rows().order("p").last().unwrap(), "merge$a,b");
}

#[workflow]
async fn fragile(probe: State<Probe>, n: u64) -> Result<u64> {
    wait!("pause", secs(n)).await;
    anyhow::ensure!(n != 2 || probe.is("mended"), "child 2 is broken");
    Ok(n)
}

#[workflow]
async fn patient(probe: State<Probe>) -> Result<u64> {
    probe.note("body");
    let children = branch!("grp", automerge = true, {
        spawn_each!("n", 1..4_u64, |n| fragile(n))
    });
    let sum = children.await?.collect().await?.iter().sum();
    step!("finalize", {
        probe.note("finalize");
        Ok(())
    })
    .await?;
    Ok(sum)
}

#[scenario]
async fn a_failed_child_keeps_the_parent_parked_until_it_is_recovered(world: &World) {
    let forge = world.forge([patient::NAME, fragile::NAME]).await;
    let run = forge.start("p", patient()).await.unwrap();
    let parked = world.settle("p").await;
    assert_eq!((parked.state, parked.wake_at), (IDLE, None));
    assert_eq!(world.rows().run("p$grp$n$1").state, FAILED);
    assert_eq!(world.rows().record("p", "branch$grp").pending, 1);
    assert_eq!(world.rows().record("p", "merge$grp").state, 0);
    assert_eq!(world.probe.log(), ["body"], "nor is it replayed meanwhile");
    let told = run.result().await.unwrap_err();
    assert!(
        matches!(&told, RunError::Blocked { first, .. } if first.key == "p$grp$n$1"),
        "{told:?}"
    );
    assert_eq!(world.rows().run("p").state, IDLE, "it stays parked");
    world.probe.set("mended", 1);
    forge.retry::<fragile>("p$grp$n$1").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 6);
    assert_eq!(world.probe.log(), ["body", "body", "finalize"]);
}

#[workflow]
async fn busy_parent(probe: State<Probe>) -> Result<u64> {
    let branch = branch!("grp", { spawn!("x", add(1, 2)) }).await?;
    step!("busy", {
        probe.note("busy");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    Ok(merge!(branch).await?.output().await?)
}

#[scenario]
async fn children_that_finish_while_the_parent_still_runs_are_not_missed(world: &World) {
    let forge = world.forge([busy_parent::NAME, add::NAME]).await;
    let run = forge.start("p", busy_parent()).await.unwrap();
    world.noted("busy", 1).await;
    world
        .until(|| {
            world
                .rows()
                .find("p$grp$x")
                .is_some_and(|c| c.state == COMPLETED)
        })
        .await;
    world.probe.set("go", 1);
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.rows().run("p").lock_epoch, 1);
}

#[workflow]
async fn slow_child(probe: State<Probe>) -> Result<u64> {
    probe.raised("child").await;
    Ok(5)
}

#[workflow]
async fn joined(probe: State<Probe>) -> Result<u64> {
    let branch = branch!("grp", { spawn!("x", slow_child()) }).await?;
    let (child, ()) = futures::try_join!(
        async { Ok::<_, anyhow::Error>(merge!(branch).await?) },
        async {
            step!("beside", {
                probe.note("beside");
                probe.raised("step").await;
                Ok(())
            })
            .await?;
            Ok(())
        }
    )?;
    Ok(child.output().await?)
}

#[scenario]
async fn a_live_pass_joins_in_place_when_the_last_child_completes(world: &World) {
    let forge = world.forge([joined::NAME, slow_child::NAME]).await;
    let run = forge.start("p", joined()).await.unwrap();
    world.noted("beside", 1).await;
    world.probe.set("child", 1);
    world
        .until(|| world.rows().order("p").contains(&"merge$grp".to_owned()))
        .await;
    world.probe.set("step", 1);
    assert_eq!(run.result().await.unwrap(), 5);
    assert_eq!(world.rows().run("p").lock_epoch, 1);
}

#[workflow]
async fn dispatching_aside(probe: State<Probe>) -> Result<()> {
    futures::try_join!(
        async {
            let _handle = branch!("grp", {
                let first = step!("slow", {
                    probe.raised("go").await;
                    Ok(1_u64)
                })
                .await?;
                spawn!("x", add(first, 1));
            })
            .await?;
            Ok::<_, anyhow::Error>(())
        },
        async {
            merge!("grp").await?;
            probe.note("merged");
            Ok(())
        }
    )?;
    Ok(())
}

#[scenario]
async fn a_merge_may_wait_for_a_branch_that_is_still_being_dispatched(world: &World) {
    let forge = world.forge([dispatching_aside::NAME, add::NAME]).await;
    let run = forge.start("p", dispatching_aside()).await.unwrap();
    world.until(|| world.rows().find("p").is_some()).await;
    assert!(world.soon(world.noted("merged", 1)).await.is_none());
    world.probe.set("go", 1);
    run.result().await.unwrap();
}

/// The join is reached once somebody says so, while the step is under way.
#[workflow]
async fn calls_beside_a_join(probe: State<Probe>) -> Result<u64> {
    let one = branch!("one", { spawn!("x", add(1, 0)) }).await?;
    let call = step!("call", {
        probe.note("begun");
        probe.raised("answer").await;
        probe.note("answered");
        Ok(2_u64)
    });
    let joined = async {
        probe.raised("join").await;
        // The join reads rows once this is written.
        step!("before", { Ok(()) }).await?;
        probe.note("joins");
        Ok::<_, anyhow::Error>(merge!(one).await?.output().await?)
    };
    let (call, joined) = futures::join!(call, joined);
    Ok(call? + joined?)
}

/// Otherwise its peer hangs up, and its time limit passes, because a database is away.
#[scenario(threads = 2)]
async fn a_step_beside_a_join_goes_on_while_the_database_takes_no_writes(world: &World) {
    let forge = world.forge([calls_beside_a_join::NAME, add::NAME]).await;
    let run = forge.start("p", calls_beside_a_join()).await.unwrap();
    world.noted("begun", 1).await;
    let held = world.hold_writes();
    world.probe.set("join", 1);
    world.noted("joins", 1).await;
    world.probe.set("answer", 1);
    world.noted("answered", 1).await;
    drop(held);
    assert_eq!(run.result().await.unwrap(), 3);
}
