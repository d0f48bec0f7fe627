//! A whole database moves, goes on, and moves again.
use chrono_forge_tests::backend::{Backend, backends};
use jiff::Timestamp;

use crate::fleet::{self, ITEMS};
use crate::ground::{Ground, bounded};

#[backends(threads = 2)]
async fn everything_arrives_as_it_left_and_goes_on(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        // On PostgreSQL from there to a file and back.
        let (old, new, third) = (ground.place(), ground.file(), ground.place());
        fleet::launch(&ground, &old).await;
        let (file, exported) = ground.export(&old).await;
        assert_eq!(exported.runs, ITEMS + 5);
        let imported = ground.import(&new, &file).await.unwrap();
        assert_eq!(
            (
                imported.runs,
                imported.records,
                imported.errors,
                imported.skipped
            ),
            (exported.runs, exported.records, exported.errors, 0)
        );
        assert_eq!(ground.told(&new).await, crate::ground::told(&file));
        // The way back, or on.
        let (file, _) = ground.export(&new).await;
        ground.import(&third, &file).await.unwrap();
        assert_eq!(ground.told(&third).await, crate::ground::told(&file));
        fleet::land(&ground, &third).await;
    })
    .await;
}

#[backends(threads = 2)]
async fn every_instant_moves_the_last_one_and_the_first_one_too(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new, third) = (ground.place(), ground.file(), ground.place());
        let forge = ground.worker(&old).await;
        let ends = [None, Some(Timestamp::MAX), Some(Timestamp::MIN)];
        for (n, until) in ends.into_iter().enumerate() {
            let run = fleet::for_ever(until);
            forge.start(&format!("w{n}"), run).await.unwrap();
        }
        ground.noted("waits", 3).await;
        forge.shutdown().await;
        let (file, exported) = ground.export(&old).await;
        assert_eq!(exported.runs, 3);
        ground.import(&new, &file).await.unwrap();
        assert_eq!(ground.told(&new).await, crate::ground::told(&file));
        let (file, _) = ground.export(&new).await;
        ground.import(&third, &file).await.unwrap();
        assert_eq!(ground.told(&third).await, crate::ground::told(&file));
    })
    .await;
}

#[backends(threads = 2)]
async fn what_a_dead_worker_held_is_due_in_the_new_database(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.place());
        let forge = ground.worker(&old).await;
        forge.start("h1", fleet::held()).await.unwrap();
        ground.noted("holding", 1).await;
        forge.crash();
        drop(forge);
        let file = ground.export_of_the_dead(&old).await;
        let text = String::from_utf8(file.clone()).unwrap();
        assert!(!text.contains("\"running\"") && text.contains("\"state\":\"idle\""));
        ground.import(&new, &file).await.unwrap();
        ground.probe.set("free", 1);
        let forge = ground.worker(&new).await;
        let run = forge.get::<fleet::held>("h1").await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), 7);
        // Its first step was recorded, and a run whose epoch were lost would not look.
        assert_eq!(ground.probe.count("before"), 1);
        forge.shutdown().await;
    })
    .await;
}

#[backends(sqlite_only = "a server keeps nothing in memory alone")]
async fn a_database_in_memory_is_exported_too(backend: Backend) {
    bounded(async {
        use chrono_forge::prelude::*;
        let ground = Ground::new(backend);
        let forge = Forge::builder("sqlite::memory:").state(ground.probe.clone());
        let forge = forge.open().await.unwrap();
        let run = forge.start("s1", fleet::sums(vec![2, 3])).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 5);
        let mut file = Vec::new();
        let copy = forge.export(&mut file).while_running().await.unwrap();
        assert_eq!((copy.runs, copy.records), (1, 1));
        let new = ground.place();
        ground.import(&new, &file).await.unwrap();
        assert_eq!(ground.told(&new).await, crate::ground::told(&file));
    })
    .await;
}

#[backends]
async fn an_empty_database_is_an_export_of_two_lines(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (file, exported) = ground.export(&ground.place()).await;
        assert_eq!(
            (exported.runs, exported.records, exported.errors),
            (0, 0, 0)
        );
        assert_eq!(crate::ground::lines(&file).len(), 2);
        let imported = ground.import(&ground.place(), &file).await.unwrap();
        assert_eq!((imported.runs, imported.skipped), (0, 0));
    })
    .await;
}
