//! A sequence that is behind its rows, as after a logical replica has taken over: ids that are taken are no answer.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

/// Children, records and an error row of each run.
#[workflow]
async fn elder(probe: State<Probe>, name: String) -> Result<u32> {
    let retry = RetryPolicy::new().max_attempts(2).base(Duration::ZERO);
    step!("stumbles", retry = retry, {
        anyhow::ensure!(probe.nth(&format!("{name} stumbles")) > 1, "once");
        Ok(())
    })
    .await?;
    let children = branch!("all", automerge = true, {
        spawn_each!("younger", 0..5_u32, |nth| younger(nth))
    })
    .await?;
    Ok(children.collect().await?.into_iter().sum())
}

#[workflow]
async fn younger(nth: u32) -> Result<u32> {
    Ok(step!("own", { Ok(nth) }).await?)
}

/// The next ids of these tables are those of their first rows.
fn fall_behind(world: &World, tables: &[&str]) {
    for table in tables {
        let table = format!("chrono_forge_{table}");
        match world.backend() {
            Backend::Sqlite => {
                let sql = format!("UPDATE sqlite_sequence SET seq = 0 WHERE name = '{table}'");
                world.rows().edit(&sql, &[]);
            }
            Backend::Postgres => {
                let sql =
                    format!("SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1, false)");
                let _ = world.rows().number(&sql);
            }
        }
    }
}

const TABLES: [&str; 5] = [
    "workflows",
    "execution_logs",
    "error_logs",
    "claims",
    "workers",
];

async fn elder_is_well(world: &World, forge: &Forge, key: &str) {
    let run = forge.start(key, elder(key.into())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
    assert_eq!(world.rows().errors(key).len(), 1);
    assert_eq!(world.rows().children(key).len(), 5);
    assert_eq!(world.rows().run(key).state, COMPLETED);
}

#[scenario]
async fn a_sequence_that_falls_behind_at_work_is_brought_up_to_its_rows(world: &World) {
    let builder = world.builder([elder::NAME, younger::NAME]);
    let builder = builder.poll_interval(Duration::from_millis(20));
    let forge = builder
        .heartbeat(Duration::from_millis(50))
        .open()
        .await
        .unwrap();
    elder_is_well(world, &forge, "before").await;
    for table in TABLES {
        fall_behind(world, &[table]);
        elder_is_well(world, &forge, table).await;
    }
    fall_behind(world, &TABLES);
    let second = world.forge([elder::NAME, younger::NAME]).await;
    elder_is_well(world, &second, "all").await;
    let client = world.client().await;
    fall_behind(world, &TABLES);
    elder_is_well(world, &client, "of a client").await;
    assert_eq!(
        world
            .rows()
            .number("SELECT count(*) FROM chrono_forge_workers"),
        2
    );
}

#[scenario]
async fn a_sequence_that_is_behind_is_brought_up_before_anything_begins(world: &World) {
    let forge = world.forge([elder::NAME, younger::NAME]).await;
    elder_is_well(world, &forge, "before").await;
    forge.shutdown().await;
    fall_behind(world, &TABLES);
    let forge = world.forge([elder::NAME, younger::NAME]).await;
    elder_is_well(world, &forge, "after").await;
    forge.shutdown().await;
}
