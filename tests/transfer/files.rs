//! Files that are not as they were exported.

use chrono_forge::{ImportError, Workflow};
use chrono_forge_tests::backend::{Backend, backends};

use crate::fleet;
use crate::ground::{Ground, Place, bounded, lines};

/// A file of a failed and a completed run: header, run, error, run, record, end.
async fn small(ground: &Ground) -> Vec<String> {
    let old = ground.place();
    let forge = ground.worker(&old).await;
    let broken = forge.start("b", fleet::broken()).await.unwrap();
    broken.result().await.unwrap_err();
    let sum = forge.start("s", fleet::sums(vec![1])).await.unwrap();
    sum.result().await.unwrap();
    forge.shutdown().await;
    let lines = lines(&ground.export(&old).await.0);
    assert_eq!(lines.len(), 6, "{lines:?}");
    lines
}

async fn refused(ground: &Ground, new: &Place, lines: &[String]) -> ImportError {
    let file = lines.concat();
    ground.import(new, file.as_bytes()).await.unwrap_err()
}

#[backends]
async fn what_is_no_export_is_told_at_once(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let new = ground.place();
        let endless = "x".repeat(1_000_000);
        for text in [
            "",
            "\n",
            "{}\n",
            "[1]\n",
            &endless,
            "{\"chrono_forge\":\"log\",\"version\":1}\n",
        ] {
            let error = ground.import(&new, text.as_bytes()).await.unwrap_err();
            assert!(matches!(error, ImportError::NotAnExport), "{error}");
        }
    })
    .await;
}

#[backends]
async fn a_newer_file_asks_for_a_newer_binary(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let mut lines = small(&ground).await;
        lines[0] = lines[0].replace("\"version\":2", "\"version\":3,\"colour\":7");
        let error = refused(&ground, &ground.place(), &lines).await;
        assert!(matches!(error, ImportError::Newer { version: 3, .. }));
        assert!(error.to_string().contains("upgrade the binary"), "{error}");
    })
    .await;
}

#[backends]
async fn lines_that_are_lost_or_added_do_not_add_up(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let new = ground.place();
        let lines = small(&ground).await;
        for lost in [2, 3, 4] {
            let mut lines = lines.clone();
            lines.remove(lost);
            let error = refused(&ground, &new, &lines).await;
            assert!(
                matches!(error, ImportError::Miscounted { .. }),
                "{lost}: {error}"
            );
        }
        let mut twice = lines.clone();
        twice.insert(5, lines[4].clone());
        let error = refused(&ground, &new, &twice).await;
        assert!(matches!(error, ImportError::Miscounted { .. }), "{error}");
        let mut orphan = lines.clone();
        orphan.remove(1);
        let error = refused(&ground, &new, &orphan).await;
        assert!(
            matches!(error, ImportError::Line { line: 2, .. }),
            "{error}"
        );
        let mut behind = lines.clone();
        behind.push(lines[4].clone());
        let error = refused(&ground, &new, &behind).await;
        assert!(
            matches!(error, ImportError::Line { line: 7, .. }),
            "{error}"
        );
        assert_eq!(ground.told(&new).await, []);
    })
    .await;
}

#[backends]
async fn an_edited_line_is_named_with_its_problem(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let new = ground.place();
        let lines = small(&ground).await;
        let edits = [
            (1, "\"failed\"", "\"fallen\"", "there is no state `fallen`"),
            (1, "\"failed\"", "\"running\"", "without a worker"),
            (
                1,
                "\"failed\"",
                "\"failed\",\"wake_at\":5",
                "only an idle run",
            ),
            (
                1,
                "\"failed\"",
                "\"failed\",\"colour\":5",
                "unknown field `colour`",
            ),
            (2, "\"attempt\":1", "\"attempt\":0", "counted from 1"),
            (
                4,
                "\"attempts\":1",
                "\"attempts\":1,\"pending\":2",
                "more children",
            ),
            (4, "\"record\"", "\"recorded\"", "unknown variant"),
            (3, "}\n", "\n", "EOF"),
        ];
        for (line, from, to, problem) in edits {
            let mut lines = lines.clone();
            assert!(lines[line].contains(from), "{}", lines[line]);
            lines[line] = lines[line].replacen(from, to, 1);
            let error = refused(&ground, &new, &lines).await;
            let ImportError::Line { line: told, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(told, line as u64 + 1, "{error}");
            assert!(error.to_string().contains(problem), "{error}");
        }
        assert_eq!(ground.told(&new).await, []);
    })
    .await;
}

#[backends]
async fn a_child_without_its_parent_is_refused(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let new = ground.place();
        let mut lines = small(&ground).await;
        let parent = "\"parent\":{\"workflow\":\"order\",\"key\":\"o9\",\"record\":\"branch$items\"},\"queue\"";
        lines[3] = lines[3].replacen("\"queue\"", parent, 1);
        let error = refused(&ground, &new, &lines).await;
        assert!(matches!(error, ImportError::ParentMissing { line: 4, .. }), "{error}");
    })
    .await;
}

/// Older releases took such keys where the database did.
#[backends]
async fn a_name_that_the_database_cannot_store_is_told_with_its_line_and_its_run(backend: Backend) {
    bounded(async {
        let ground = Ground::new(backend);
        let lines = small(&ground).await;
        let at = |mark: &str| {
            lines
                .iter()
                .position(|line| line.starts_with(mark))
                .unwrap()
        };
        let cases = [
            (
                at("{\"run\""),
                "\"key\":\"b\"",
                "\"key\":\"b\\u0000\"",
                "the key",
            ),
            (
                at("{\"record\""),
                "\"name\":\"",
                "\"name\":\"step$\\u0000",
                "the name of a record",
            ),
        ];
        for (line, from, to, what) in cases {
            let mut lines = lines.clone();
            assert!(lines[line].contains(from), "{}", lines[line]);
            lines[line] = lines[line].replacen(from, to, 1);
            let (file, new) = (lines.concat(), ground.place());
            // A file keeps them.
            ground
                .import(&ground.file(), file.as_bytes())
                .await
                .unwrap();
            let imported = ground.import(&new, file.as_bytes()).await;
            if backend == Backend::Sqlite {
                imported.unwrap();
                continue;
            }
            let error = imported.unwrap_err();
            let told = error.to_string();
            // The failed run stands alone, the completed one has the record.
            let (workflow, key) = match what {
                "the key" => (fleet::broken::NAME, "b\0"),
                _ => (fleet::sums::NAME, "s"),
            };
            assert!(
                matches!(&error, ImportError::Nul { workflow: of, key: run, .. }
                    if of == workflow && run == key),
                "{error:?}"
            );
            let line = format!("line {}", line + 1);
            let run = format!("run {key:?} of `{workflow}`");
            for text in [&*line, what, &run, "SQLite"] {
                assert!(told.contains(text), "{text}: {told}");
            }
            assert!(ground.told(&new).await.is_empty());
            // Nor is the database left half imported.
            ground.worker(&new).await.shutdown().await;
        }
    })
    .await;
}
