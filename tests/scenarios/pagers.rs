//! `pages(..)`: an async pager whose token is the durable cursor.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, scenario};

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

#[tokio::test]
async fn each_page_is_a_batch_and_the_last_has_no_token() {
    scenario(async |world| {
        let forge = world.forge([paged::NAME, paged_leaf::NAME]).await;
        let run = forge.start("p", paged()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), (0..8).collect::<Vec<_>>());
        assert_eq!(
            world.probe.log(),
            ["page None", "page Some(3)", "page Some(6)"]
        );
        let metadata = world.rows().record("p", "branch$grp").metadata.unwrap();
        assert!(metadata.contains(r#"{"token":null,"n":8}"#), "{metadata}");
    })
    .await;
}

#[tokio::test]
async fn after_a_crash_fetching_goes_on_at_the_stored_token() {
    scenario(async |world| {
        world.probe.set("stop", 1);
        let forge = world.forge([paged::NAME]).await;
        forge.start("p", paged()).await.unwrap();
        world.noted("stopped", 1).await;
        world
            .until(|| world.rows().find("p$grp$n$5").is_some())
            .await;
        forge.crash();
        drop(forge);
        world.probe.set("stop", 0);
        let forge = world.forge([paged::NAME, paged_leaf::NAME]).await;
        let run = forge.get::<paged>("p").await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), (0..8).collect::<Vec<_>>());
        assert_eq!(world.probe.count("page None"), 1);
        assert_eq!(world.probe.count("page Some(3)"), 1);
        assert_eq!(world.rows().record("p", "branch$grp").spawned, 8);
    })
    .await;
}

#[tokio::test]
async fn an_error_of_a_pager_is_retried_from_its_page() {
    scenario(async |world| {
        world.probe.set("flaky", 1);
        let forge = world.forge([paged::NAME, paged_leaf::NAME]).await;
        let run = forge.start("p", paged()).await.unwrap();
        world.settle("p").await;
        assert_eq!(run.result().await.unwrap(), (0..8).collect::<Vec<_>>());
        assert_eq!(world.probe.count("page None"), 1);
        assert_eq!(world.probe.count("page Some(3)"), 2);
        assert_eq!(world.rows().errors("p")[0].message, "page 3 is flaky");
    })
    .await;
}
