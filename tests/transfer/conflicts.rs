//! Files that meet runs which are there already.

use chrono_forge::ImportError;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};

use crate::fleet;
use crate::ground::{Ground, bounded, told};

#[backends]
async fn twice_the_same_file_changes_nothing_even_after_its_runs_went_on(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.place());
        let forge = ground.worker(&old).await;
        forge.start("h1", fleet::held()).await.unwrap();
        ground.noted("holding", 1).await;
        forge.crash();
        let file = ground.export_of_the_dead(&old).await;
        ground.import(&new, &file).await.unwrap();
        let again = ground.import(&new, &file).await.unwrap();
        assert_eq!((again.runs, again.skipped), (0, 1));
        assert_eq!(ground.told(&new).await, told(&file));
        ground.probe.set("free", 1);
        let forge = ground.worker(&new).await;
        let run = forge.get::<fleet::held>("h1").await.unwrap().unwrap();
        run.result().await.unwrap();
        // Workers are welcome, since there is nothing to write.
        let again = forge.import(std::io::Cursor::new(&file)).await.unwrap();
        assert_eq!((again.runs, again.skipped), (0, 1));
        assert_eq!(run.result().await.unwrap(), 7);
        forge.shutdown().await;
    })
    .await;
}

#[backends]
async fn two_exports_of_the_same_state_agree(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.place());
        fleet::launch(&ground, &old).await;
        let (first, _) = ground.export(&old).await;
        let (second, exported) = ground.export(&old).await;
        ground.import(&new, &first).await.unwrap();
        let imported = ground.import(&new, &second).await.unwrap();
        assert_eq!((imported.runs, imported.skipped), (0, exported.runs));
        assert_eq!(ground.told(&new).await, told(&first));
    })
    .await;
}

#[backends]
async fn a_run_that_went_on_before_it_was_exported_again_is_a_conflict(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.place());
        let client = ground.client(&old).await;
        client.start("a", fleet::sums(vec![1])).await.unwrap();
        client.start("b", fleet::sums(vec![2])).await.unwrap();
        let (file, _) = ground.export(&old).await;
        ground.import(&new, &file).await.unwrap();
        let forge = ground.worker(&old).await;
        let run = forge.get::<fleet::sums>("b").await.unwrap().unwrap();
        run.result().await.unwrap();
        forge.shutdown().await;
        let later = ground.export(&old).await.0;
        let before = ground.told(&new).await;
        let error = ground.import(&new, &later).await.unwrap_err();
        let ImportError::Conflict { workflow, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(workflow, fleet::sums::NAME);
        assert_eq!(ground.told(&new).await, before);
        ground.worker(&new).await.shutdown().await;
    })
    .await;
}

#[backends]
async fn another_run_of_the_same_name_is_a_conflict_and_nothing_is_written(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.place());
        let client = ground.client(&old).await;
        client.start("a", fleet::sums(vec![1])).await.unwrap();
        client.start("b", fleet::sums(vec![2])).await.unwrap();
        ground.clock.advance(secs(1));
        let there = ground.client(&new).await;
        there.start("b", fleet::sums(vec![2])).await.unwrap();
        let before = ground.told(&new).await;
        let (file, _) = ground.export(&old).await;
        let error = ground.import(&new, &file).await.unwrap_err();
        let ImportError::Conflict { line, key, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((*line, key.as_str()), (3, "b"));
        assert!(error.to_string().contains("empty database"), "{error}");
        assert_eq!(ground.told(&new).await, before);
        ground.worker(&new).await.shutdown().await;
    })
    .await;
}
