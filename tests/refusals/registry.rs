//! Names and states of the served set.

use chrono_forge::Error;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{World, scenario};

use super::{healthy, serves_on};

mod first {
    use chrono_forge::prelude::*;

    #[workflow(name = "same")]
    pub(super) async fn one() -> Result<()> {
        Ok(())
    }
}

mod second {
    use chrono_forge::prelude::*;

    #[workflow(name = "same")]
    pub(super) async fn two() -> Result<()> {
        Ok(())
    }
}

struct Absent;

#[workflow]
async fn wants(absent: State<Absent>) -> Result<()> {
    let _ = absent;
    Ok(())
}

#[scenario]
async fn two_workflows_of_one_name_are_refused_where_they_are_served(world: &World) {
    let error = world.builder(["same"]).open().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::DuplicateWorkflow { .. }), "{text}");
    assert!(
        text.contains("first::one") && text.contains("second::two"),
        "{text}"
    );
    assert_eq!(first::one::NAME, second::two::NAME);
    // Served elsewhere, they disturb nobody here.
    let forge = world.forge([healthy::NAME]).await;
    serves_on(&forge, "duplicates").await;
    let client = Forge::builder(&world.url())
        .worker(false)
        .open()
        .await
        .unwrap();
    client.start("k", first::one()).await.unwrap();
}

#[scenario]
async fn an_unregistered_name_and_a_missing_state_are_refused_by_name(world: &World) {
    let error = world.builder(["nobody"]).open().await.unwrap_err();
    assert!(matches!(&error, Error::UnregisteredWorkflow { name } if name == "nobody"));
    assert!(
        error.to_string().contains("use my_workflows as _;"),
        "{error}"
    );
    let error = world.builder([wants::NAME]).open().await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            Error::MissingState {
                workflow: "wants",
                ..
            }
        ),
        "{text}"
    );
    assert!(
        text.contains("Absent") && text.contains(".state("),
        "{text}"
    );
    assert!(world.is_untouched(), "nothing was opened");
    world
        .builder([wants::NAME])
        .state(Absent)
        .open()
        .await
        .unwrap();
}
