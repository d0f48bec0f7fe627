//! A child belongs to its parent run: what other runs call theirs is of no concern.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, RunRow, World, scenario};

#[workflow]
async fn stamp(probe: State<Probe>, text: String) -> Result<String> {
    step!("stamp", {
        probe.note(&text);
        Ok(())
    })
    .await?;
    Ok(text)
}

/// With children of its own: what is below two namesakes are namesakes, too.
#[workflow]
async fn letter(text: String) -> Result<Vec<String>> {
    let pages = branch!("pages", automerge = true, {
        spawn_each!("page", 1..=2_u32, |page| stamp(format!("{text} {page}")))
    })
    .await?;
    Ok(pages.collect().await?)
}

#[workflow]
async fn order() -> Result<Vec<String>> {
    let letter = branch!("notify", automerge = true, {
        spawn!("mail", letter("order".into()))
    })
    .await?;
    Ok(letter.output().await?)
}

#[workflow]
async fn refund() -> Result<Vec<String>> {
    let letter = branch!("notify", automerge = true, {
        spawn!("mail", letter("refund".into()))
    })
    .await?;
    Ok(letter.output().await?)
}

#[scenario]
async fn two_workflows_with_one_run_key_have_children_of_one_name(world: &World) {
    let forge = world
        .forge([order::NAME, refund::NAME, letter::NAME, stamp::NAME])
        .await;
    let orders = forge.start("4711", order()).await.unwrap();
    assert_eq!(orders.result().await.unwrap(), ["order 1", "order 2"]);
    let refunds = forge.start("4711", refund()).await.unwrap();
    assert_eq!(refunds.result().await.unwrap(), ["refund 1", "refund 2"]);
    for text in ["order 1", "order 2", "refund 1", "refund 2"] {
        assert_eq!(world.probe.count(text), 1, "{text}");
    }
    let children = "SELECT count(*) FROM chrono_forge_workflows
        WHERE workflow = 'letter' AND key = '4711$notify$mail' AND state = 2";
    assert_eq!(world.rows().number(children), 2);
}

#[scenario]
async fn namesakes_that_are_started_together_all_complete(world: &World) {
    let forge = world
        .forge([order::NAME, refund::NAME, letter::NAME, stamp::NAME])
        .await;
    let mut orders = Vec::new();
    let mut refunds = Vec::new();
    for n in 0..20 {
        let key = format!("k{n}");
        orders.push(forge.start(&key, order()).await.unwrap());
        refunds.push(forge.start(&key, refund()).await.unwrap());
    }
    for (order, refund) in orders.iter().zip(&refunds) {
        assert_eq!(order.result().await.unwrap(), ["order 1", "order 2"]);
        assert_eq!(refund.result().await.unwrap(), ["refund 1", "refund 2"]);
    }
    let is_done = |run: RunRow| run.state == COMPLETED;
    assert!(world.rows().runs().into_iter().all(is_done));
}
