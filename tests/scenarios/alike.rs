//! Keys that people take for one: each is its own on every database, whatever that sorts by.

use std::collections::BTreeSet;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};

/// By case, blanks, composition, width, invisible characters, ligatures, punctuation, digits.
const ALIKE: [&str; 30] = [
    "key",
    "Key",
    "KEY",
    "key ",
    " key",
    "key\t",
    "key\u{a0}",
    "k\u{e9}y",
    "ke\u{301}y",
    "kéY",
    "\u{ff4b}ey",
    "ke\u{200b}y",
    "ke\u{ad}y",
    "ß",
    "ss",
    "\u{1e9e}",
    "i",
    "I",
    "ı",
    "İ",
    "k",
    "\u{212a}",
    "fi",
    "ﬁ",
    "a-b",
    "a b",
    "ab",
    "0",
    "00",
    "٠",
];

#[workflow]
async fn echo(probe: State<Probe>, key: String) -> Result<String> {
    probe.note(format!("echo {key}"));
    Ok(key)
}

#[workflow]
async fn alike(cx: Context, probe: State<Probe>) -> Result<Vec<String>> {
    for key in ALIKE {
        step!(key, {
            probe.note(format!("step {key}"));
            cx.set(key, key)?;
            Ok(())
        })
        .await?;
    }
    let mut branches = Vec::new();
    for key in ALIKE {
        branches.push(branch!(key, { spawn!(key, echo(key.to_owned())) }).await?);
    }
    let children = branch!("all", automerge = true, {
        for key in ALIKE {
            spawn!(key, echo(key.to_owned()));
        }
        spawn_each!("each", ALIKE, |key| echo(key.to_owned()))
    })
    .await?;
    wait!("pause", secs(1)).await;
    for branch in branches {
        merge!(branch).await?;
    }
    for key in ALIKE {
        anyhow::ensure!(cx.fetch(key, String::new())? == key, "the entry {key:?}");
    }
    Ok(children.collect().await?)
}

#[scenario]
async fn keys_that_look_alike_are_different_ones(world: &World) {
    let distinct: BTreeSet<&str> = ALIKE.into();
    assert_eq!(distinct.len(), ALIKE.len());
    let forge = world.forge([alike::NAME, echo::NAME]).await;
    for key in ALIKE {
        forge.start(key, echo(key.to_owned())).await.unwrap();
    }
    let run = forge.start("all of them", alike()).await.unwrap();
    world.settle("all of them").await;
    assert_eq!(run.result().await.unwrap(), ALIKE);
    for key in ALIKE {
        let found = forge.get::<echo>(key).await.unwrap().unwrap();
        assert_eq!(found.key(), key);
        assert_eq!(found.result().await.unwrap(), key);
        let child = run.child::<echo>(key, key).await.unwrap().unwrap();
        assert_eq!(child.result().await.unwrap(), key);
        let step = format!("step {key}");
        assert_eq!(world.probe.count(&step), 1, "{key:?}");
    }
    let entries = run.context().await.unwrap();
    let entries: BTreeSet<_> = entries.as_object().unwrap().keys().cloned().collect();
    assert!(entries.iter().map(String::as_str).eq(distinct));
}
