//! Two applications in one database: the name of a workflow is one's, and the other is told.

use chrono_forge::prelude::*;
use chrono_forge::{Error, RunError};
use chrono_forge_tests::scenario::{Probe, World, scenario};

#[workflow]
async fn app_greets(probe: State<Probe>, name: String) -> Result<String> {
    probe.note("greet");
    Ok(format!("hello {name}"))
}

#[workflow]
async fn app_bills() -> Result<u32> {
    Ok(7)
}

#[workflow]
async fn app_mails() -> Result<()> {
    branch!("mails", automerge = true, {
        spawn!("one", app_greets("ada".to_owned()))
    })
    .await?;
    Ok(())
}

fn is_other(error: &Error) -> bool {
    matches!(error, Error::OtherApplication { workflow: "app_greets", owner, application }
        if owner == "shop" && application == "billing")
}

#[scenario]
async fn a_name_is_the_application_s_that_served_it_first(world: &World) {
    let shop = world.builder([app_greets::NAME]).application("shop");
    let shop = shop.open().await.unwrap();
    let hello = shop
        .start("ada", app_greets("ada".to_owned()))
        .await
        .unwrap();
    assert_eq!(hello.result().await.unwrap(), "hello ada");
    let billing = || {
        world
            .builder([app_bills::NAME, app_greets::NAME])
            .application("billing")
    };
    let refused = billing().open().await.unwrap_err();
    assert!(is_other(&refused), "{refused:?}");
    let told = refused.to_string();
    for word in [
        "`app_greets`",
        "`shop`",
        "`billing`",
        "schema=",
        ".application(\"shop\")",
    ] {
        assert!(told.contains(word), "{told}");
    }
    // It is no worker, and left nothing behind.
    let workers = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL";
    assert_eq!(world.rows().number(workers), 1);
    let owned = "SELECT count(*) FROM chrono_forge_applications WHERE workflow = 'app_bills'";
    assert_eq!(world.rows().number(owned), 0);
    // Nor can it start, ask for, or move what is not its own.
    let client = billing().worker(false).open().await.unwrap();
    let runs = world
        .rows()
        .number("SELECT count(*) FROM chrono_forge_workflows");
    let start = client
        .start("eve", app_greets("eve".to_owned()))
        .await
        .map(drop);
    let all = client
        .start_all([("eve", app_greets("eve".to_owned()))])
        .await;
    let get = client.get::<app_greets>("ada").await.map(drop);
    let by_id = client.by_id::<app_greets>(hello.id()).await.map(drop);
    let wake = client.wake::<app_greets>("ada").await;
    let retry = client.retry::<app_greets>("ada").await.map(drop);
    for refused in [start, all.map(drop), get, by_id, wake, retry] {
        let refused = refused.unwrap_err();
        assert!(is_other(&refused), "{refused:?}");
    }
    let now = world
        .rows()
        .number("SELECT count(*) FROM chrono_forge_workflows");
    assert_eq!(now, runs);
    // With what is its own it works beside the other.
    let own = world.builder([app_bills::NAME]).application("billing");
    let own = own.open().await.unwrap();
    let billed = own.start("ada", app_bills()).await.unwrap();
    assert_eq!(billed.result().await.unwrap(), 7);
}

#[scenario]
async fn a_name_is_the_application_s_that_started_it_first(world: &World) {
    let client = world
        .builder([app_greets::NAME])
        .worker(false)
        .application("shop");
    let client = client.open().await.unwrap();
    client
        .start("ada", app_greets("ada".to_owned()))
        .await
        .unwrap();
    let told = client.unserved(10).await.unwrap();
    assert_eq!(told[0].application.as_deref(), Some("shop"));
    assert!(
        told[0]
            .to_string()
            .contains("`app_greets` of application `shop`")
    );
    let billing = world.builder([app_greets::NAME]).application("billing");
    assert!(is_other(&billing.open().await.unwrap_err()));
    // Whoever was renamed says what it was called.
    let renamed = world.builder([app_greets::NAME]).application("shop");
    let renamed = renamed.open().await.unwrap();
    let run = renamed.get::<app_greets>("ada").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), "hello ada");
}

#[scenario]
async fn a_child_of_another_application_s_workflow_is_refused_by_name(world: &World) {
    let shop = world.builder([app_greets::NAME]).application("shop");
    let shop = shop.open().await.unwrap();
    let billing = world.builder([app_mails::NAME]).application("billing");
    let billing = billing.open().await.unwrap();
    let run = billing.start("spring", app_mails()).await.unwrap();
    let refused = run.result().await.unwrap_err();
    let RunError::Failed { class, message, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(class, "chrono_forge::DefinitionError");
    assert!(
        message.contains("`app_greets` belongs to the application `shop`"),
        "{message}"
    );
    assert_eq!(world.probe.count("greet"), 0);
    drop(shop);
}

/// What a run's body spawns; `billing` serves it nowhere.
async fn mails_of(billing: &Forge) -> RunError {
    let run = billing.start("spring", app_mails()).await.unwrap();
    run.result().await.unwrap_err()
}

#[scenario]
async fn a_name_is_the_application_s_that_spawned_it_first(world: &World) {
    let billing = world.builder([app_mails::NAME]).application("billing");
    let billing = billing.open().await.unwrap();
    let unserved = mails_of(&billing).await;
    assert!(matches!(unserved, RunError::Unserved { .. }), "{unserved}");
    let shop = world.builder([app_greets::NAME]).application("shop");
    let refused = shop.open().await.unwrap_err();
    assert!(
        matches!(&refused, Error::OtherApplication { workflow: "app_greets", owner, .. }
            if owner == "billing"),
        "{refused:?}"
    );
}

#[scenario]
async fn a_child_is_refused_also_where_its_name_got_its_owner_after_the_open(world: &World) {
    let billing = world.builder([app_mails::NAME]).application("billing");
    let billing = billing.open().await.unwrap();
    let shop = world.builder([app_greets::NAME]).application("shop");
    let shop = shop.open().await.unwrap();
    let refused = mails_of(&billing).await;
    assert!(
        matches!(&refused, RunError::Failed { message, .. }
            if message.contains("`app_greets` belongs to the application `shop`")),
        "{refused:?}"
    );
    assert_eq!(world.probe.count("greet"), 0);
    drop(shop);
}

#[scenario]
async fn a_workflow_is_its_package_s_unless_the_builder_says_otherwise(world: &World) {
    let forge = world.forge([app_bills::NAME]).await;
    let owned = "SELECT count(*) FROM chrono_forge_applications
        WHERE workflow = 'app_bills' AND application = 'chrono-forge-tests'";
    assert_eq!(world.rows().number(owned), 1);
    drop(forge);
    for name in ["", "a\0b"] {
        let refused = world
            .builder([app_bills::NAME])
            .application(name)
            .open()
            .await;
        let refused = refused.map(drop).unwrap_err();
        assert!(
            matches!(
                &refused,
                Error::Config {
                    knob: "application",
                    ..
                }
            ),
            "{refused:?}"
        );
    }
}
