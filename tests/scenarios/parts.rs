//! `#[workflow(part)]`: helpers that use the vocabulary.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, World, scenario};
use serde::Serialize;
use serde::de::DeserializeOwned;

struct Order {
    id: u32,
}

#[workflow(part)]
async fn ship(cx: &Context, order: &Order) -> Result<String> {
    let id = order.id;
    let label = step!("label-{id}", { Ok(format!("label {}", order.id)) }).await;
    let label = label?;
    wait!("courier-{id}", hours(1)).await;
    cx.set("shipped", &order.id)?;
    Ok(label)
}

#[workflow(part)]
async fn keep<T>(cx: &Context, key: &str, value: T) -> Result<T>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    let _ = cx.key();
    Ok(step!(key, { Ok(value.clone()) }).await?)
}

impl Order {
    #[workflow(part)]
    async fn check(cx: &Context, limit: u32) -> Result<bool> {
        let _ = cx;
        Ok(step!("check", { Ok(limit > 3) }).await?)
    }
}

#[workflow]
async fn fulfil(cx: Context, id: u32) -> Result<String> {
    let order = Order { id };
    let label = ship(&cx, &order).await?;
    let kept = keep(&cx, "kept", vec![label.clone()]).await?;
    let is_ok = Order::check(&cx, id).await?;
    Ok(format!("{} {is_ok}", kept[0]))
}

#[scenario]
async fn a_part_s_operations_belong_to_the_run_that_calls_it(world: &World) {
    let forge = world.forge([fulfil::NAME]).await;
    let run = forge.start("k", fulfil(4)).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), "label 4 true");
    let order = ["step$label-4", "wait$courier-4", "step$kept", "step$check"];
    assert_eq!(world.rows().order("k"), order);
    assert_eq!(run.context().await.unwrap()["shipped"], 4);
}

#[workflow(part)]
async fn inner_step(cx: &Context) -> Result<u64> {
    let _ = cx;
    Ok(step!("inner", { Ok(5_u64) }).await?)
}

#[workflow]
async fn part_in_block(cx: Context) -> Result<u64> {
    let n = branch!("grp", automerge = true, { inner_step(&cx).await? }).await?;
    Ok(n)
}

#[scenario]
async fn a_part_with_steps_may_stand_in_a_branch_block(world: &World) {
    let forge = world.forge([part_in_block::NAME]).await;
    let run = forge.start("k", part_in_block()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 5);
}
