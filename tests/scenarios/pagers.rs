//! `pages(..)`: an async pager whose token is the durable cursor.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{FAILED, Probe, STALLED, World, scenario};

#[workflow]
async fn paged_leaf(n: u64) -> Result<u64> {
    Ok(n)
}

/// Pages of 3 below 8; the token is where a page begins.
async fn fetch(probe: Probe, token: Option<u64>) -> Result<(Vec<u64>, Option<u64>)> {
    probe.note(format!("page {token:?}"));
    let from = token.unwrap_or(0);
    if from == 6 && probe.is("stop") {
        probe.note("stopped");
        probe.raised("go").await;
    }
    if from == 3 && probe.is("flaky") && probe.nth("flaky") == 1 {
        anyhow::bail!("page 3 is flaky");
    }
    let to = (from + 3).min(8);
    Ok(((from..to).collect(), (to < 8).then_some(to)))
}

#[workflow(retry = RetryPolicy::new().jitter(false))]
async fn paged(probe: State<Probe>) -> Result<Vec<u64>> {
    let probe = Probe::clone(&probe);
    let children = branch!("grp", automerge = true, {
        let probe = probe.clone();
        spawn_each!("n", pages(move |token| fetch(probe.clone(), token)), |n| {
            paged_leaf(n)
        })
    })
    .await?;
    Ok(children.collect().await?)
}

#[scenario]
async fn each_page_is_a_batch_and_the_last_has_no_token(world: &World) {
    let forge = world.forge([paged::NAME, paged_leaf::NAME]).await;
    let run = forge.start("p", paged()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), (0..8).collect::<Vec<_>>());
    assert_eq!(
        world.probe.log(),
        ["page None", "page Some(3)", "page Some(6)"]
    );
    let metadata = world.rows().record("p", "branch$grp").metadata.unwrap();
    assert!(metadata.contains(r#"{"token":null,"n":8}"#), "{metadata}");
}

#[scenario]
async fn after_a_crash_fetching_goes_on_at_the_stored_token(world: &World) {
    world.probe.set("stop", 1);
    let forge = world.forge([paged::NAME]).await;
    forge.start("p", paged()).await.unwrap();
    world.noted("stopped", 1).await;
    world
        .until(|| world.rows().find("p$grp$n$5").is_some())
        .await;
    world.crash(&forge);
    drop(forge);
    world.probe.set("stop", 0);
    let forge = world.forge([paged::NAME, paged_leaf::NAME]).await;
    let run = forge.get::<paged>("p").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), (0..8).collect::<Vec<_>>());
    assert_eq!(world.probe.count("page None"), 1);
    assert_eq!(world.probe.count("page Some(3)"), 1);
    assert_eq!(world.rows().record("p", "branch$grp").spawned, 8);
}

#[scenario]
async fn an_error_of_a_pager_is_retried_from_its_page(world: &World) {
    world.probe.set("flaky", 1);
    let forge = world.forge([paged::NAME, paged_leaf::NAME]).await;
    let run = forge.start("p", paged()).await.unwrap();
    world.settle("p").await;
    assert_eq!(run.result().await.unwrap(), (0..8).collect::<Vec<_>>());
    assert_eq!(world.probe.count("page None"), 1);
    assert_eq!(world.probe.count("page Some(3)"), 2);
    assert_eq!(world.rows().errors("p")[0].message, "page 3 is flaky");
}

/// A page of seven and one of one; a token gives the same page again.
async fn fetch_large(probe: &Probe, token: Option<u64>) -> Result<(Vec<u64>, Option<u64>)> {
    probe.note(format!("page {token:?}"));
    Ok(match token {
        None => ((0..7).collect(), Some(7)),
        Some(from) => (vec![from], None),
    })
}

#[workflow]
async fn paged_large(probe: State<Probe>) -> Result<Vec<u64>> {
    let children = branch!("grp", automerge = true, {
        spawn_each!(
            "n",
            of = 3,
            pages(|token| fetch_large(&probe, token)),
            |n| {
                if n == 4 && probe.is("stop") {
                    probe.note("stopped");
                    probe.raised("go").await;
                }
                paged_leaf(n)
            }
        )
    })
    .await?;
    Ok(children.collect().await?)
}

#[scenario]
async fn a_fetch_may_borrow_and_a_page_beyond_of_is_several_batches(world: &World) {
    let forge = world.forge([paged_large::NAME, paged_leaf::NAME]).await;
    let run = forge.start("p", paged_large()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), (0..8).collect::<Vec<_>>());
    assert_eq!(world.probe.log(), ["page None", "page Some(7)"]);
    let metadata = world.rows().record("p", "branch$grp").metadata.unwrap();
    assert!(metadata.contains(r#"{"token":null,"n":8}"#), "{metadata}");
}

#[scenario]
async fn after_a_crash_within_a_page_its_rest_is_dispatched(world: &World) {
    world.probe.set("stop", 1);
    let forge = world.forge([paged_large::NAME]).await;
    forge.start("p", paged_large()).await.unwrap();
    world.noted("stopped", 1).await;
    world
        .until(|| world.rows().find("p$grp$n$2").is_some())
        .await;
    world.crash(&forge);
    drop(forge);
    let metadata = world.rows().record("p", "branch$grp").metadata.unwrap();
    let cursor = r#"{"token":null,"at":3,"n":3}"#;
    assert!(metadata.contains(cursor), "{metadata}");
    world.probe.set("stop", 0);
    let forge = world.forge([paged_large::NAME, paged_leaf::NAME]).await;
    let run = forge.get::<paged_large>("p").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), (0..8).collect::<Vec<_>>());
    assert_eq!(world.probe.count("page None"), 2);
    assert_eq!(world.rows().record("p", "branch$grp").spawned, 8);
}

#[workflow]
async fn huge(items: u64) -> Result<usize> {
    let children = branch!("grp", automerge = true, {
        let fetch = async |_: Option<u64>| Ok(((0..items).collect(), None));
        spawn_each!("n", of = 10_000, pages(fetch), |n| paged_leaf(n))
    })
    .await?;
    Ok(children.len())
}

#[scenario]
async fn a_huge_page_is_no_huge_transaction(world: &World) {
    // Nobody here executes the children, so that only dispatch commits.
    let forge = world.forge([huge::NAME]).await;
    let before = world.failpoints.hits("commit.after.apply");
    forge.start("p", huge(25_000)).await.unwrap();
    world.parked("p").await;
    assert!(world.failpoints.hits("commit.after.apply") - before >= 3);
    assert_eq!(world.rows().record("p", "branch$grp").spawned, 25_000);
}

/// The second page stands behind a token that is `null` in JSON.
async fn fetch_behind_null(token: Option<Option<u64>>) -> Result<(Vec<u64>, Option<Option<u64>>)> {
    Ok(match token {
        None => (vec![0, 1], Some(Some(2))),
        Some(Some(_)) => (vec![2, 3], Some(None)),
        Some(None) => (vec![4, 5], None),
    })
}

#[workflow]
async fn paged_behind_null() -> Result<usize> {
    let children = branch!("grp", automerge = true, {
        spawn_each!("n", pages(fetch_behind_null), |n| paged_leaf(n))
    })
    .await?;
    Ok(children.len())
}

#[scenario]
async fn a_token_that_would_not_be_found_again_ends_the_run(world: &World) {
    let forge = world
        .forge([paged_behind_null::NAME, paged_leaf::NAME])
        .await;
    forge.start("p", paged_behind_null()).await.unwrap();
    assert_eq!(world.settle("p").await.state, FAILED);
    let told = &world.rows().errors("p")[0].message;
    assert!(
        told.contains("Option<u64>") && told.contains("null"),
        "{told}"
    );
    // The page whose cursor it would have been is not dispatched.
    assert_eq!(world.rows().record("p", "branch$grp").spawned, 2);
}

#[scenario]
async fn the_cursor_of_another_kind_of_source_is_not_taken_for_an_end(world: &World) {
    world.probe.set("stop", 1);
    let forge = world.forge([paged::NAME]).await;
    forge.start("p", paged()).await.unwrap();
    world.noted("stopped", 1).await;
    world
        .until(|| world.rows().find("p$grp$n$5").is_some())
        .await;
    world.crash(&forge);
    drop(forge);
    // What an iterator had left if it stood here before the last deploy.
    let sql = "UPDATE chrono_forge_execution_logs SET metadata = ? WHERE step_name = 'branch$grp'";
    assert_eq!(
        world
            .rows()
            .edit(sql, &[r#"{"cursors":{"n":{"n":6}}}"#.into()]),
        1
    );
    world.probe.set("stop", 0);
    let _forge = world.forge([paged::NAME, paged_leaf::NAME]).await;
    assert_eq!(world.settle("p").await.state, STALLED);
    let told = &world.rows().errors("p")[0].message;
    assert!(told.contains("cursor") && told.contains("token"), "{told}");
}

/// A token of which a part is not stored.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Marked {
    page: u32,
    #[serde(skip)]
    hint: u32,
}

#[workflow]
async fn marked(probe: State<Probe>) -> Result<()> {
    branch!("grp", automerge = true, {
        let fetch = async |token: Option<Marked>| {
            let page = token.as_ref().map_or(0, |token| token.page);
            if let Some(Marked { page, hint }) = token {
                probe.note(format!("page {page}, hint {hint}"));
            }
            let next = Marked {
                page: page + 1,
                hint: 7,
            };
            Ok((vec![1], (page < 2).then_some(next)))
        };
        spawn_each!("n", pages(fetch), |n| paged_leaf(n))
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_pager_is_given_its_token_as_it_was_stored_by_the_first_pass_too(world: &World) {
    let forge = world.forge([marked::NAME, paged_leaf::NAME]).await;
    let run = forge.start("p", marked()).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(world.probe.log(), ["page 1, hint 0", "page 2, hint 0"]);
}
