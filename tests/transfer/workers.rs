//! Nobody executes while runs move.

use std::time::Duration;

use chrono_forge::{ExportError, ImportError};
use chrono_forge_tests::backend::{Backend, backends};

use crate::fleet;
use crate::ground::{Ground, bounded, told};

#[backends]
async fn a_live_worker_refuses_the_export_unless_it_is_a_copy(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let old = ground.place();
        let forge = ground.worker(&old).await;
        let run = forge.start("s1", fleet::sums(vec![4])).await.unwrap();
        run.result().await.unwrap();
        for asked in [&forge, &ground.client(&old).await] {
            let mut file = Vec::new();
            let error = asked.export(&mut file).await.unwrap_err();
            assert!(matches!(error, ExportError::WorkersAlive { .. }), "{error}");
            assert!(file.is_empty());
        }
        let mut copy = Vec::new();
        forge.export(&mut copy).while_running().await.unwrap();
        forge.shutdown().await;
        assert_eq!(ground.told(&old).await, told(&copy));
    })
    .await;
}

#[backends]
async fn a_live_worker_refuses_the_import_and_nothing_is_noted(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.home());
        let client = ground.client(&old).await;
        client.start("a", fleet::sums(vec![1])).await.unwrap();
        let (file, _) = ground.export(&old).await;
        let forge = ground.worker(&new).await;
        let error = ground.import(&new, &file).await.unwrap_err();
        assert!(matches!(error, ImportError::WorkersAlive { .. }), "{error}");
        forge.shutdown().await;
        assert_eq!(ground.told(&new).await, []);
        ground.worker(&new).await.shutdown().await;
        ground.import(&new, &file).await.unwrap();
    })
    .await;
}

#[backends(sqlite_only = "a file tells of a death before the lease is over")]
async fn a_dead_worker_is_none(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let old = ground.place();
        let lease = Duration::from_secs(3_600);
        let forge = ground.builder(&old).lease(lease).open().await.unwrap();
        forge.crash();
        drop(forge);
        let client = ground.builder(&old).worker(false).lease(lease);
        let client = client.open().await.unwrap();
        client.export(&mut Vec::new()).await.unwrap();
    })
    .await;
}

/// It may be frozen, and go on in the midst of the import. Whose lock is held lives, however silent it is.
#[backends]
async fn a_silent_worker_is_stopped_by_an_import_and_begins_anew_after_it(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.home());
        let client = ground.client(&old).await;
        client.start("a", fleet::sums(vec![1])).await.unwrap();
        let (file, _) = ground.export(&old).await;
        let worker = ground.builder(&new).heartbeat(Duration::from_millis(500));
        // Nobody tells it of what is imported.
        let worker = worker.poll_interval(Duration::from_millis(100));
        let worker = worker.open().await.unwrap();
        let alive = async || match worker.export(&mut Vec::new()).await {
            Err(ExportError::WorkersAlive { workers }) => workers,
            other => panic!("{other:?}"),
        };
        let before = alive().await;
        let importer = ground.client(&new).await;
        ground.silence();
        while let Err(error) = importer.import(std::io::Cursor::new(&file)).await {
            assert!(matches!(error, ImportError::WorkersAlive { .. }), "{error}");
            if backend == Backend::Sqlite {
                return worker.shutdown().await;
            }
            ground.silence();
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let after = alive().await;
        assert!(before.iter().all(|id| !after.contains(id)), "{after:?}");
        let run = worker.get::<fleet::sums>("a").await.unwrap().unwrap();
        run.result().await.unwrap();
        worker.shutdown().await;
    })
    .await;
}

#[backends]
async fn a_writer_that_fails_fails_the_export(backend: Backend) {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(text.len())
                .ok_or_else(|| std::io::Error::other("full"))?;
            Ok(text.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    bounded(async {
        let ground = Ground::new(backend);
        let old = ground.place();
        let client = ground.client(&old).await;
        client.start("a", fleet::sums(vec![1])).await.unwrap();
        let error = client.export(&mut Full(10)).await.unwrap_err();
        assert!(matches!(error, ExportError::Write(_)), "{error}");
        // The database is as free as before.
        client.export(&mut Vec::new()).await.unwrap();
    })
    .await;
}
