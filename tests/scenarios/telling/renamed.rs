//! A step that was renamed under a run in flight.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};
use chrono_forge_tests::telling::{listen, told};

#[workflow]
async fn renaming(probe: State<Probe>) -> Result<()> {
    if probe.is("v2") {
        step!("charge-card", {
            probe.note("charged");
            Ok(())
        })
        .await?;
    } else {
        step!("charge", {
            probe.note("charged");
            Ok(())
        })
        .await?;
    }
    branch!("mails", automerge = true, {
        step!("address", { Ok(()) }).await?;
    })
    .await?;
    continue_if!("ship", { Ok(probe.is("open")) }).await?;
    step!("ship", {
        probe.note("shipped");
        Ok(())
    })
    .await?;
    step!("thank", { Ok(()) }).await?;
    Ok(())
}

async fn first_half(world: &World, forge: &Forge, keys: &[&str]) {
    for key in keys {
        forge.start(key, renaming()).await.unwrap();
        world.parked(key).await;
    }
}

async fn second_half(world: &World, forge: &Forge, keys: &[&str]) {
    world.probe.set("open", 1);
    for key in keys {
        forge.wake::<renaming>(key).await.unwrap();
        world.settle(key).await;
    }
}

#[scenario]
async fn a_renamed_step_is_warned_of_once_by_both_names(world: &World) {
    listen();
    let forge = world.forge([renaming::NAME]).await;
    let name = format!("renamed {:?}", world.backend());
    let keys = [&*format!("{name} a"), &*format!("{name} b")];
    first_half(world, &forge, &keys).await;
    world.probe.set("v2", 1);
    second_half(world, &forge, &keys).await;
    assert_eq!(
        world.probe.count("charged"),
        4,
        "which is what is warned of"
    );
    let warned = told(&["WARN", "workflow=\"renaming\"", &name]);
    let named = "step=\"charge-card\" recorded=\"charge\"";
    assert!(
        warned.len() == 1 && warned[0].contains(named),
        "{warned:#?}"
    );
    assert!(warned[0].contains(keys[0]), "{warned:#?}");
}

const TURNS: [(&str, &str); 3] = [
    ("think-0", "tool-0"),
    ("think-1", "tool-1"),
    ("think-2", "tool-2"),
];

/// Of two kinds of steps by turns one is renamed, as far as an earlier build came.
#[workflow]
async fn turning(probe: State<Probe>) -> Result<()> {
    let is_new = probe.is("turned");
    for (think, tool) in TURNS {
        step!("{think}", { Ok(()) }).await?;
        let tool = match is_new {
            true => tool.replace("tool", "call"),
            false => tool.to_owned(),
        };
        step!("{tool}", { Ok(()) }).await?;
    }
    continue_if!("go on", { Ok(probe.is("go on")) }).await?;
    step!("decision", { Ok(()) }).await?;
    Ok(())
}

#[scenario]
async fn each_renamed_step_is_named_with_what_it_was(world: &World) {
    listen();
    let forge = world.forge([turning::NAME]).await;
    let key = format!("turning {:?}", world.backend());
    forge.start(&key, turning()).await.unwrap();
    world.parked(&key).await;
    for flag in ["turned", "go on"] {
        world.probe.set(flag, 1);
    }
    forge.wake::<turning>(&key).await.unwrap();
    world.settle(&key).await;
    let warned = told(&["WARN", "workflow=\"turning\"", &key]);
    let named = ["0", "1", "2"].map(|n| format!("step=\"call-{n}\" recorded=\"tool-{n}\""));
    assert!(
        warned.len() == 3
            && warned
                .iter()
                .zip(&named)
                .all(|(line, named)| line.contains(named)),
        "what is really new has no old name: {warned:#?}"
    );
}

#[scenario]
async fn a_run_whose_steps_kept_their_names_is_not(world: &World) {
    listen();
    let forge = world.forge([renaming::NAME]).await;
    let keys = ["kept a", "kept b"];
    first_half(world, &forge, &keys).await;
    second_half(world, &forge, &keys).await;
    let warned = told(&["WARN", "workflow=\"renaming\"", "key=\"kept"]);
    assert_eq!(warned, [""; 0]);
}
