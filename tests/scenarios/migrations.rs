//! A database that an older binary made, with runs in flight, is brought up to date and goes on;
//! and which binaries may go on beside a newer one.

use chrono_forge::prelude::*;
use chrono_forge::{Error, StoreErrorKind};
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

/// The versions that an older binary may have left, newest first; one more with each release.
pub(crate) const OLDER: [&str; 6] = [
    "20261202000011",
    "20261201000010",
    "20261201000009",
    "20261201000008",
    "20261130000007",
    "20261122000005",
];

#[workflow]
async fn parcel(probe: State<Probe>, n: u32) -> Result<u32> {
    step!("pack", {
        probe.note(format!("pack {n}"));
        Ok(())
    })
    .await?;
    if n % 2 == 1 {
        continue_if!("sent", async { Ok::<_, anyhow::Error>(probe.is("sent")) }).await?;
    }
    step!("send", retry = RetryPolicy::none(), {
        anyhow::ensure!(n != 2 || probe.is("mended"), "broken");
        probe.note(format!("send {n}"));
        Ok(())
    })
    .await?;
    Ok(n)
}

/// In flight: some children parked, one stalled, one not dispatched yet, and a step that hangs.
#[workflow]
async fn shipment(cx: Context, probe: State<Probe>) -> Result<u32> {
    step!("open", {
        cx.set("opened", &true)?;
        probe.note("open");
        Ok(())
    })
    .await?;
    let parcels = branch!("parcels", {
        spawn_each!("parcel", 0..6_u32, |n| parcel(n))
    })
    .await?;
    step!("print", {
        probe.note("print");
        if !probe.is("sent") {
            std::future::pending::<()>().await;
        }
        Ok(())
    })
    .await?;
    Ok(merge!(parcels).await?.fold(0, |sum, n| sum + n).await?)
}

#[scenario]
async fn runs_in_flight_go_on_in_a_database_that_is_brought_up_to_date(world: &World) {
    for (nth, version) in OLDER.into_iter().enumerate() {
        let key = format!("s{nth}");
        let forge = world.forge([shipment::NAME, parcel::NAME]).await;
        world.probe.set("sent", 0);
        world.probe.set("mended", 0);
        let run = forge.start(&key, shipment()).await.unwrap();
        world.noted("print", 2 * nth + 1).await;
        let still = |n: u32| format!("{key}$parcels$parcel${n}");
        world.until(|| world.rows().run(&still(2)).state == 4).await;
        world.until(|| world.rows().run(&still(5)).state == 0).await;
        let last = world
            .rows()
            .number("SELECT max(id) FROM chrono_forge_workflows");
        drop(run);
        world.crash(&forge);
        drop(forge);
        let old = Forge::builder(&world.url());
        old.revert_migrations(version).await.unwrap();
        world.probe.set("sent", 1);
        world.probe.set("mended", 1);
        let forge = world.forge([shipment::NAME, parcel::NAME]).await;
        for n in [1, 3, 5] {
            forge.wake::<parcel>(&still(n)).await.unwrap();
        }
        forge.retry::<parcel>(&still(2)).await.unwrap();
        let run = forge.get::<shipment>(&key).await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), 15, "{version}");
        assert_eq!(world.probe.count("open"), nth + 1, "{version}");
        for n in 0..6 {
            assert_eq!(
                world.probe.count(&format!("pack {n}")),
                nth + 1,
                "{version}"
            );
        }
        // Ids that were given out are not given out again.
        let next = forge.start(&format!("next{nth}"), parcel(8)).await.unwrap();
        assert!(next.id() > last, "{version}");
        next.result().await.unwrap();
        assert_eq!(world.rows().run(&key).state, COMPLETED);
        forge.shutdown().await;
    }
}

#[scenario]
async fn an_older_binary_is_refused_unless_the_newer_migration_only_adds(world: &World) {
    world.forge([parcel::NAME]).await.shutdown().await;
    let newest = "SELECT max(CAST(version AS bigint)) FROM chrono_forge_schema_migrations";
    let known = world.rows().number(newest).to_string();
    // As a binary would write that knows more than this one: who may go on is for that one to say.
    let later = "29990101000000";
    for (oldest, is_refused) in [
        (None, true),
        (Some(&*known), false),
        (Some("20261122000005"), false),
        (Some("29980101000000"), true),
    ] {
        let oldest = oldest.map_or("NULL".to_owned(), |oldest| format!("'{oldest}'"));
        world.rows().edit(
            &format!(
                "INSERT INTO chrono_forge_schema_migrations (version, oldest) VALUES ('{later}', {oldest})"
            ),
            &[],
        );
        match world.builder([parcel::NAME]).open().await {
            Ok(forge) => {
                assert!(!is_refused, "{oldest}");
                let run = forge.start(&oldest, parcel(0)).await.unwrap();
                run.result().await.unwrap();
                forge.shutdown().await;
            }
            Err(Error::Store(error)) => {
                assert!(is_refused, "{oldest}: {error}");
                assert_eq!(error.kind, StoreErrorKind::Schema);
                let told = error.to_string();
                assert!(
                    told.contains(later) && told.contains("upgrade the binary"),
                    "{told}"
                );
            }
            Err(error) => panic!("{oldest}: {error}"),
        }
        let gone = format!("DELETE FROM chrono_forge_schema_migrations WHERE version = '{later}'");
        world.rows().edit(&gone, &[]);
    }
}

/// What an operator asks either database, in words.
#[scenario]
async fn views_show_what_is_stuck_due_waiting_and_held(world: &World) {
    let forge = world.forge([shipment::NAME, parcel::NAME]).await;
    let run = forge.start("s", shipment()).await.unwrap();
    world.noted("print", 1).await;
    world
        .until(|| world.rows().run("s$parcels$parcel$2").state == 4)
        .await;
    let count = |what: &str| world.rows().number(&format!("SELECT count(*) FROM {what}"));
    world
        .until(|| count("chrono_forge_runs WHERE state = 'parked'") == 3)
        .await;
    assert_eq!(
        count(
            "chrono_forge_stuck WHERE state = 'stalled' AND error_message = 'broken' AND stalled_by = 'step$send'"
        ),
        1
    );
    world
        .until(|| count("chrono_forge_runs WHERE state = 'completed'") == 2)
        .await;
    let held =
        "chrono_forge_running WHERE workflow = 'shipment' AND key = 's' AND worker = 'worker'";
    assert_eq!(count(held), 1);
    assert_eq!(count("chrono_forge_running"), 1);
    assert_eq!(count("chrono_forge_queue"), 0);
    let children = "chrono_forge_runs AS c JOIN chrono_forge_runs AS p ON p.id = c.parent_id
        WHERE p.key = 's' AND c.parent_branch = 'branch$parcels'";
    assert_eq!(count(children), 6);
    // Due, and nobody executes it.
    world.crash(&forge);
    drop((forge, run));
    let client = world.client().await;
    client.start("due", parcel(0)).await.unwrap();
    let due = format!(
        "chrono_forge_queue WHERE workflow = 'parcel' AND due = 1 AND waiting = 0 AND {}",
        match world.backend() {
            Backend::Sqlite =>
                "lag BETWEEN 0 AND 60 AND due_since BETWEEN datetime('now', '-60 seconds')
                    AND datetime('now', '+1 second')",
            Backend::Postgres =>
                "lag BETWEEN interval '0' AND interval '60 s' AND due_since > now() - interval '60 s'",
        }
    );
    assert_eq!(count(&due), 1);
    let owned = "chrono_forge_runs WHERE application = 'chrono-forge-tests'";
    assert_eq!(count(owned), count("chrono_forge_runs"));
}
