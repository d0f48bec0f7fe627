//! Due runs that no live worker can execute are told by name.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{World, scenario};

#[workflow]
async fn served() -> Result<()> {
    Ok(())
}

#[workflow]
async fn left_out() -> Result<()> {
    Ok(())
}

#[workflow(queue = "deserted")]
async fn elsewhere() -> Result<()> {
    Ok(())
}

#[scenario]
async fn workflows_and_queues_that_no_live_worker_has_are_told(world: &World) {
    let client = world.client().await;
    client.start("a", left_out()).await.unwrap();
    client.start("b", elsewhere()).await.unwrap();
    client.start("c", served()).await.unwrap();
    // Without any worker that is all of them.
    assert_eq!(client.unserved(10).await.unwrap().len(), 3);
    assert_eq!(client.unserved(1).await.unwrap().len(), 1);
    let worker = world.forge([served::NAME, elsewhere::NAME]).await;
    let told = client.unserved(10).await.unwrap();
    let texts: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts[0].starts_with("no live worker that knows `elsewhere` serves queue `deserted`"),
        "{texts:?}"
    );
    assert!(
        texts[1].starts_with("no live worker knows `left_out`"),
        "{texts:?}"
    );
    assert_eq!(told[1].due_since.as_microsecond(), world.now());
    worker.shutdown().await;
    // Whoever has left serves nothing any more.
    client.start("d", served()).await.unwrap();
    assert_eq!(client.unserved(10).await.unwrap().len(), 3);
}

#[scenario]
async fn what_is_not_due_yet_is_not_missed(world: &World) {
    let client = world.client().await;
    let worker = world.forge([served::NAME]).await;
    assert_eq!(client.unserved(10).await.unwrap(), []);
    drop(worker);
}
