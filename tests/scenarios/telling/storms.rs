//! One cause that meets many runs.

use std::collections::BTreeMap;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{World, scenario};
use chrono_forge_tests::telling::{listen, told};

const RUNS: usize = 300;

#[workflow]
async fn told_storm() -> Result<()> {
    step!("call", retry = RetryPolicy::none(), {
        Err::<(), _>(anyhow::anyhow!("connection refused"))
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_storm_is_a_few_lines_and_a_count_and_nothing_of_it_is_left_out(world: &World) {
    listen();
    let backend = format!("{:?} ", world.backend());
    let of_this = ["ERROR", "workflow=\"told_storm\"", &backend];
    let forge = world.forge([told_storm::NAME]).await;
    let mut runs = BTreeMap::new();
    for n in 0..RUNS {
        let key = format!("{backend}{n}");
        runs.insert(n, forge.start(&key, told_storm()).await.unwrap());
    }
    for run in runs.values() {
        run.result().await.unwrap_err();
    }
    forge.shutdown().await;
    let lines = told(&of_this);
    assert!(lines.len() <= 12, "{lines:#?}");
    let counted = |line: &String| {
        let (_, count) = line.split_once("message=")?;
        count
            .split_once(" more runs stalled")?
            .0
            .parse::<usize>()
            .ok()
    };
    let counts: Vec<usize> = lines.iter().filter_map(counted).collect();
    let singly = lines.len() - counts.len();
    assert_eq!(singly + counts.iter().sum::<usize>(), RUNS, "{lines:#?}");
    assert!(
        lines.iter().all(|line| line.contains("connection refused")),
        "{lines:#?}"
    );
}
