//! Runs that share a workflow and a key: each arrives below its own parent.

use chrono_forge::Error;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::scenario::Probe;

use crate::fleet::is_set;
use crate::ground::{Ground, Place, bounded, lines, told, unnumbered};

/// At the bottom, below two namesakes that are below two parents of one key.
#[workflow]
async fn sheet(probe: State<Probe>, text: String) -> Result<String> {
    continue_if!("posted", is_set(&probe, "posted")).await?;
    Ok(text)
}

#[workflow]
async fn envelope(text: String) -> Result<String> {
    let sheet = branch!("sheets", automerge = true, {
        spawn!("sheet", sheet(text.clone()))
    });
    Ok(sheet.await?.output().await?)
}

#[workflow]
async fn invoice() -> Result<String> {
    let text = "invoice".to_owned();
    let mail = branch!("mails", automerge = true, {
        spawn!("mail", envelope(text))
    })
    .await?;
    Ok(mail.output().await?)
}

#[workflow]
async fn reminder() -> Result<String> {
    let text = "reminder".to_owned();
    let mail = branch!("mails", automerge = true, {
        spawn!("mail", envelope(text))
    })
    .await?;
    Ok(mail.output().await?)
}

/// Both, parked at the bottom.
async fn launch(ground: &Ground, place: &Place) {
    let forge = ground.worker(place).await;
    forge.start("k", invoice()).await.unwrap();
    forge.start("k", reminder()).await.unwrap();
    ground.noted("asked posted", 2).await;
    forge.shutdown().await;
}

/// Both complete, each with what its own child says.
async fn land(ground: &Ground, place: &Place) {
    ground.probe.set("posted", 1);
    let forge = ground.worker(place).await;
    let invoice = forge.get::<invoice>("k").await.unwrap().unwrap();
    let reminder = forge.get::<reminder>("k").await.unwrap().unwrap();
    let ambiguous = forge.get::<envelope>("k$mails$mail").await.unwrap_err();
    let is_told = matches!(&ambiguous, Error::AmbiguousKey { runs, .. } if runs.len() == 2);
    assert!(is_told, "{ambiguous}");
    let sheets = [
        invoice.child::<envelope>("mails", "mail").await.unwrap(),
        reminder.child::<envelope>("mails", "mail").await.unwrap(),
    ];
    for envelope in sheets.into_iter().flatten() {
        let sheet = envelope.child::<sheet>("sheets", "sheet").await.unwrap();
        sheet.unwrap().wake().await.unwrap();
    }
    assert_eq!(invoice.result().await.unwrap(), "invoice");
    assert_eq!(reminder.result().await.unwrap(), "reminder");
    forge.shutdown().await;
}

#[backends(threads = 2)]
async fn namesakes_arrive_below_their_own_parents(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new, third) = (ground.place(), ground.file(), ground.place());
        launch(&ground, &old).await;
        let (file, exported) = ground.export(&old).await;
        assert_eq!(exported.runs, 6);
        ground.import(&new, &file).await.unwrap();
        assert_eq!(ground.told(&new).await, told(&file));
        let (file, _) = ground.export(&new).await;
        // Cut off behind each run; and whole, and once more under another name.
        let all = lines(&file);
        for end in 1..all.len() {
            let _torn = ground.import(&third, all[..end].concat().as_bytes()).await;
        }
        assert_eq!(ground.import(&third, &file).await.unwrap().runs, 6);
        let again = String::from_utf8(file.clone()).unwrap();
        let id = again.find("\"id\":\"").unwrap() + 6;
        let renamed = [&again[..id], "x", &again[id + 1..]].concat();
        let repeated = ground.import(&third, renamed.as_bytes()).await.unwrap();
        assert_eq!((repeated.runs, repeated.skipped), (0, 6));
        assert_eq!(ground.told(&third).await, told(&file));
        land(&ground, &third).await;
    })
    .await;
}

#[backends(threads = 2)]
async fn a_file_of_the_version_before_names_parents_by_their_keys(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new) = (ground.place(), ground.place());
        let forge = ground.worker(&old).await;
        forge.start("k", invoice()).await.unwrap();
        ground.noted("asked posted", 1).await;
        forge.shutdown().await;
        let (file, _) = ground.export(&old).await;
        let first = |line: &String| line.replace("\"version\":2", "\"version\":1");
        let before: Vec<String> = lines(&file)
            .iter()
            .map(first)
            .map(|line| unnumbered(&line))
            .collect();
        let before = before.concat();
        assert!(before.contains("\"version\":1") && !before.contains("\"run\":{\"id\""));
        assert_eq!(
            ground.import(&new, before.as_bytes()).await.unwrap().runs,
            3
        );
        assert_eq!(ground.told(&new).await, told(&file));
        ground.probe.set("posted", 1);
        let forge = ground.worker(&new).await;
        forge
            .wake::<sheet>("k$mails$mail$sheets$sheet")
            .await
            .unwrap();
        let run = forge.get::<invoice>("k").await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), "invoice");
        forge.shutdown().await;
    })
    .await;
}

/// Keys that people, and some orders of text, take for one.
const ALIKE: [&str; 12] = [
    "key",
    "Key",
    "key ",
    "k\u{e9}y",
    "ke\u{301}y",
    "ß",
    "ss",
    "i",
    "ı",
    "a-b",
    "ab",
    "a\u{ad}b",
];

/// A step, an entry, a branch and a child under each of them.
#[workflow]
async fn lookalikes(cx: Context, probe: State<Probe>) -> Result<Vec<String>> {
    let mut branches = Vec::new();
    for key in ALIKE {
        step!(key, {
            probe.note(format!("step {key}"));
            Ok(cx.set(key, key)?)
        })
        .await?;
        branches.push(branch!(key, { spawn!(key, sheet(key.to_owned())) }).await?);
    }
    let mut given = Vec::new();
    for branch in branches {
        given.push(merge!(branch).await?.output().await?);
    }
    for key in ALIKE {
        anyhow::ensure!(cx.fetch(key, String::new())? == key, "the entry {key:?}");
    }
    Ok(given)
}

#[backends(threads = 2)]
async fn keys_that_look_alike_arrive_as_different_ones(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let (old, new, third) = (ground.place(), ground.file(), ground.place());
        let forge = ground.worker(&old).await;
        for key in ALIKE {
            forge.start(key, sheet(key.to_owned())).await.unwrap();
        }
        forge.start("all", lookalikes()).await.unwrap();
        ground.noted("asked posted", 2 * ALIKE.len()).await;
        forge.shutdown().await;
        for (from, to) in [(&old, &new), (&new, &third)] {
            let (file, exported) = ground.export(from).await;
            assert_eq!(exported.runs, 1 + 2 * ALIKE.len() as u64);
            ground.import(to, &file).await.unwrap();
            assert_eq!(ground.told(to).await, told(&file));
        }
        ground.probe.set("posted", 1);
        let forge = ground.worker(&third).await;
        let all = forge.get::<lookalikes>("all").await.unwrap().unwrap();
        for key in ALIKE {
            forge.wake::<sheet>(key).await.unwrap();
            let alone = forge.get::<sheet>(key).await.unwrap().unwrap();
            assert_eq!(alone.result().await.unwrap(), key);
            let child = all.child::<sheet>(key, key).await.unwrap().unwrap();
            child.wake().await.unwrap();
            assert_eq!(ground.probe.count(&format!("step {key}")), 1, "{key:?}");
        }
        assert_eq!(all.result().await.unwrap(), ALIKE);
        forge.shutdown().await;
    })
    .await;
}
