//! What has to be so in the end.

use std::collections::HashMap;
use std::time::Duration;

use chrono_forge_tests::soak::{Trace, expected, traces};

use crate::ground::Ground;
use crate::load::Acknowledged;

/// How long after it goes on a process that was frozen may begin what it had been about to begin: between its look
/// at its lease and the first line of the effect it was stopped, which no engine can see.
const THAWING: Duration = Duration::from_millis(500);

/// Rows that nobody may leave behind.
const LEFT_BEHIND: [(&str, &str); 8] = [
    (
        "a run that is not completed",
        "SELECT workflow || ' ' || key || ' state ' || state FROM chrono_forge_workflows WHERE state <> 2",
    ),
    (
        "a claim",
        "SELECT CAST(worker_id AS text) || ' ' || CAST(id AS text) FROM chrono_forge_claims",
    ),
    (
        "a worker's row",
        "SELECT name || ' ' || CAST(pid AS text) FROM chrono_forge_workers WHERE stopped_at IS NULL",
    ),
    (
        "a blocked run",
        "SELECT CAST(workflow_id AS text) FROM chrono_forge_blocked",
    ),
    (
        "a branch whose counter is not zero",
        "SELECT step_name || ' ' || CAST(pending AS text) FROM chrono_forge_execution_logs WHERE pending <> 0",
    ),
    (
        "a branch that did not count its children",
        "SELECT l.step_name || ' ' || CAST(l.spawned AS text) FROM chrono_forge_execution_logs AS l
        WHERE l.spawned <> (SELECT count(*) FROM chrono_forge_workflows AS w
            WHERE w.parent_execution_log_id = l.id)",
    ),
    (
        "two outcomes in one place of a run's order",
        "SELECT CAST(workflow_id AS text) || ' seq ' || CAST(seq AS text) FROM chrono_forge_execution_logs
        WHERE seq IS NOT NULL GROUP BY workflow_id, seq HAVING count(*) > 1",
    ),
    (
        "an error that nobody planned",
        "SELECT coalesce(step_name, 'body') || ': ' || error_message FROM chrono_forge_error_logs
        WHERE error_message NOT LIKE 'this execution fails%'",
    ),
];

const RECORDED: &str = "SELECT w.key || ' ' || l.step_name || ' ' || l.result
    FROM chrono_forge_execution_logs AS l JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
    WHERE l.step_name LIKE 'step$%' AND l.state = 1 AND l.result LIKE '\"%'";

/// Fails with everything that is wrong; gives the number of effects that were compared with their records.
pub(crate) fn check(ground: &Ground, runs: &[Acknowledged]) -> usize {
    let mut complaints = Vec::new();
    for run in runs {
        let right = expected(run.seed);
        if run.given != Ok(right) {
            let Acknowledged { key, given, .. } = run;
            complaints.push(format!("run {key} gave {given:?}, right is {right}"));
        }
    }
    let rows = ground.rows();
    for (what, sql) in LEFT_BEHIND {
        let found = rows.texts(sql).expect("the database can be read");
        complaints.extend(found.into_iter().map(|row| format!("{what}: {row}")));
    }
    complaints.extend(
        ground
            .lock_files()
            .into_iter()
            .map(|name| format!("a lock file: {name}")),
    );
    let recorded = rows.texts(RECORDED).expect("the database can be read");
    complaints.extend(repeated(ground, &recorded));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    recorded.len()
}

/// Executions that began after the one whose result is recorded had ended.
fn repeated(ground: &Ground, recorded: &[String]) -> Vec<String> {
    let traces = traces(&ground.effects());
    let mut of_step: HashMap<(&str, &str), Vec<&Trace>> = HashMap::new();
    for trace in &traces {
        let place = (&*trace.run, &*trace.step);
        of_step.entry(place).or_default().push(trace);
    }
    let thaws = ground.thaws();
    let excused = |trace: &Trace| {
        let after = |at: u64| trace.at >= at && trace.at - at < THAWING.as_micros() as u64;
        thaws
            .iter()
            .any(|(pid, at)| *pid == trace.pid && after(*at))
    };
    let mut complaints = Vec::new();
    for row in recorded {
        let mut words = row.split(' ');
        let run = words.next().unwrap();
        let step = words.next().unwrap().trim_start_matches("step$");
        let token = words.next().unwrap().trim_matches('"');
        let executions = of_step.get(&(run, step)).map_or(&[][..], |them| them);
        let counts = executions
            .iter()
            .find(|trace| trace.ended && trace.token == token);
        let Some(counts) = counts else {
            complaints.push(format!("recorded, but never done: {row}"));
            continue;
        };
        // By its instant, not by its line: a busy disk may hold a process up for seconds between
        // taking the time and writing the line.
        let is_later = |trace: &&&Trace| !trace.ended && trace.at > counts.at;
        let later = executions.iter().filter(is_later);
        let later = later.filter(|trace| !excused(trace));
        complaints.extend(later.map(|trace| {
            let thaws: Vec<u64> = thaws
                .iter()
                .filter(|(pid, _)| *pid == trace.pid)
                .map(|(_, at)| *at)
                .collect();
            format!(
                "{row} is recorded, and then: {trace:?}; its process went on at {thaws:?}; all: {executions:?}"
            )
        }));
    }
    complaints
}
