//! What operators ask the database: the SQL of the guide, each as it stands there.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::world::{bounded, connect, engine, execute, family, prove, server, text};

/// The guide as it is read.
const GUIDE: &str = include_str!("../../chrono-forge/src/guide/operating_postgres.rs");

/// Its blocks of SQL.
fn queries() -> Vec<String> {
    let lines = GUIDE
        .lines()
        .map(|line| line.strip_prefix("//!").unwrap_or(line).trim());
    let mut queries = Vec::new();
    let mut query: Option<String> = None;
    for line in lines {
        match (line, &mut query) {
            ("```sql", None) => query = Some(String::new()),
            ("```", Some(_)) => queries.extend(query.take()),
            (line, Some(query)) => {
                query.push_str(line);
                query.push('\n');
            }
            _ => {}
        }
    }
    queries
}

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

fn plan(conn: &mut PgConnection, query: &str) -> String {
    let lines: Vec<Plan> = diesel::sql_query(format!("EXPLAIN {query}"))
        .load(conn)
        .unwrap();
    let lines: Vec<String> = lines.into_iter().map(|plan| plan.line).collect();
    lines.join("\n")
}

/// The row that a question shows of what there is.
const SHOWN: [(&str, &str); 5] = [
    (
        "stalled_by",
        "workflow = 'order' AND error = 'card declined' AND count = 1",
    ),
    ("lag DESC", "workflow = 'nobodys' AND due = 1"),
    (
        "NOT EXISTS (\n    SELECT 1 FROM chrono_forge_workers",
        "workflow = 'nobodys'",
    ),
    (
        "lease_seconds",
        "silent_for < interval '10 s' AND stuck IS NULL",
    ),
    ("key = 'order-17'", "state = 'stalled'"),
];

/// What runs, waits and is stuck; a crowd beside it that is over.
fn furnish(conn: &mut PgConnection) {
    execute(
        conn,
        "INSERT INTO chrono_forge_workflows (workflow, key, queue, priority, state, args, created_at, updated_at, completed_at)
        SELECT 'old', 'old-' || n, 'default', 1, 2, '[]', now() - interval '40 days', now() - interval '40 days',
            now() - interval '40 days' FROM generate_series(1, 20000) AS n;
        INSERT INTO chrono_forge_execution_logs (workflow_id, step_name, state)
        SELECT id, 'step$pay', 1 FROM chrono_forge_workflows WHERE key LIKE 'old-%';
        INSERT INTO chrono_forge_error_logs (workflow_id, attempt, created_at, error_class, error_message)
        SELECT id, 1, now(), 'Declined', 'card declined' FROM chrono_forge_workflows WHERE key LIKE 'old-%';
        INSERT INTO chrono_forge_context (workflow_id, key, value)
        SELECT id, 'paid', 'true' FROM chrono_forge_workflows WHERE key LIKE 'old-%';
        INSERT INTO chrono_forge_workflows (workflow, key, queue, priority, state, args, created_at, updated_at)
        VALUES ('order', 'order-17', 'default', 1, 4, '[]', now(), now());
        INSERT INTO chrono_forge_blocked (workflow_id, since, state)
        SELECT id, now() - interval '1 hour', 4 FROM chrono_forge_workflows WHERE key = 'order-17';
        INSERT INTO chrono_forge_error_logs (workflow_id, attempt, created_at, step_name, error_class, error_message)
        SELECT id, 1, now(), 'step$charge', 'Declined', 'card declined' FROM chrono_forge_workflows WHERE key = 'order-17';
        INSERT INTO chrono_forge_workflows (workflow, key, queue, priority, state, args, created_at, updated_at, wake_at)
        VALUES ('nobodys', 'due', 'default', 1, 0, '[]', now(), now(), now() - interval '35063280 hours' - interval '5 minutes'),
            ('nobodys', 'later', 'default', 1, 0, '[]', now(), now(), now() + interval '1 hour');
        ANALYZE",
    );
}

#[test]
fn the_queries_of_the_guide_answer_and_read_no_more_than_they_show() {
    let test = "the_queries_of_the_guide_answer_and_read_no_more_than_they_show";
    let Some(server) = server(test) else {
        return;
    };
    let mut conn = connect(&server.url(""));
    bounded(async {
        let forge = engine(&server.url("schema=forge")).open().await.unwrap();
        prove(&forge, "a").await;
        execute(&mut conn, "SET search_path TO forge");
        furnish(&mut conn);
        let all = queries();
        assert!(all.len() >= 10, "{all:?}");
        for query in &all {
            if query.contains("-- needs: pg_stat_statements") {
                continue;
            }
            conn.batch_execute(&format!("BEGIN; {query}; ROLLBACK"))
                .unwrap_or_else(|error| panic!("{error}: {query}"));
            if let Some((_, shown)) = SHOWN.iter().find(|(asked, _)| query.contains(asked)) {
                let query = query.trim_end().trim_end_matches(';');
                let shown =
                    format!("SELECT count(*)::text AS text FROM ({query}) AS q WHERE {shown}");
                assert_eq!(text(&mut conn, &shown), "1", "{query}");
            }
            let plan = plan(&mut conn, query);
            // What deletes the old has to walk them.
            if !query.contains("DELETE") {
                assert!(
                    !plan.contains("Seq Scan on chrono_forge_workflows"),
                    "{query}\n{plan}"
                );
            }
        }
        forge.shutdown().await;
    });
}

#[test]
fn views_tell_states_as_words_and_how_long_it_has_been() {
    let Some(server) = server("views_tell_states_as_words_and_how_long_it_has_been") else {
        return;
    };
    let mut conn = connect(&server.url(""));
    bounded(async {
        let forge = engine(&server.url("schema=forge"))
            .worker_name("w7")
            .open()
            .await
            .unwrap();
        execute(&mut conn, "SET search_path TO forge");
        furnish(&mut conn);
        let stuck = "SELECT concat_ws(' ', workflow, key, state, error_class, error_message, age > interval '59 minutes') AS text
            FROM chrono_forge_stuck";
        assert_eq!(
            text(&mut conn, stuck),
            "order order-17 stalled Declined card declined t"
        );
        let queue = "SELECT concat_ws(' ', queue, workflow, due, waiting, lag BETWEEN interval '299 s' AND interval '400 s',
            next_at > now()) AS text FROM chrono_forge_queue WHERE workflow = 'nobodys'";
        assert_eq!(text(&mut conn, queue), "default nobodys 1 1 t t");
        let runs = "SELECT string_agg(state, ' ' ORDER BY key) AS text FROM chrono_forge_runs WHERE workflow = 'nobodys'";
        assert_eq!(text(&mut conn, runs), "due waiting");
        let run = forge
            .start("long", crate::world::convoy(500))
            .await
            .unwrap();
        let running = "SELECT coalesce(min(worker) || ' ' || (count(*) > 1), '') AS text FROM chrono_forge_running
            WHERE worker_silent_for < interval '10 s' AND age < interval '1 minute'";
        while text(&mut conn, running) != "w7 true" {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let children = "SELECT (count(*) > 0)::text AS text FROM chrono_forge_runs AS c
            JOIN chrono_forge_runs AS p ON p.id = c.parent_id WHERE p.key = 'long' AND c.parent_branch = 'branch$all'";
        assert_eq!(text(&mut conn, children), "true");
        run.result().await.unwrap();
        forge.shutdown().await;
    });
    let undocumented =
        "SELECT coalesce(string_agg(concat_ws('.', c.relname, a.attname), ' '), '') AS text
        FROM pg_class AS c
        LEFT JOIN pg_attribute AS a
            ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'
        WHERE c.relnamespace = 'forge'::regnamespace AND c.relkind IN ('r', 'v')
            AND (obj_description(c.oid) IS NULL
                OR a.attnum IS NOT NULL AND col_description(c.oid, a.attnum) IS NULL)";
    assert_eq!(
        text(&mut conn, undocumented),
        "",
        "each table, view and column of a table says what it is"
    );
}

#[test]
fn what_the_guide_deletes_is_whole_and_over() {
    let Some(server) = server("what_the_guide_deletes_is_whole_and_over") else {
        return;
    };
    let mut conn = connect(&server.url(""));
    let queries = queries();
    let delete = queries
        .iter()
        .find(|query| query.contains("DELETE"))
        .unwrap();
    bounded(async {
        let forge = engine(&server.url("schema=forge")).open().await.unwrap();
        prove(&forge, "kept").await;
        execute(&mut conn, "SET search_path TO forge");
        execute(
            &mut conn,
            "UPDATE chrono_forge_workflows SET completed_at = now() - interval '40 days' WHERE key = 'kept'",
        );
        for key in ["young", "again"] {
            let run = forge.start(key, family(0)).await.unwrap();
            run.result().await.unwrap();
        }
        execute(
            &mut conn,
            "UPDATE chrono_forge_workflows SET completed_at = now() - interval '40 days' WHERE key = 'again'",
        );
        furnish(&mut conn);
        for _ in 0..21 {
            execute(&mut conn, delete);
        }
        let left = "SELECT string_agg(key, ' ' ORDER BY key) AS text FROM chrono_forge_workflows WHERE parent_execution_log_id IS NULL";
        assert_eq!(text(&mut conn, left), "due kept later order-17 young");
        for table in ["execution_logs", "error_logs", "context"] {
            let orphans = format!(
                "SELECT count(*)::text AS text FROM chrono_forge_{table} AS l
                WHERE NOT EXISTS (SELECT 1 FROM chrono_forge_workflows AS w WHERE w.id = l.workflow_id)"
            );
            assert_eq!(text(&mut conn, &orphans), "0", "{table}");
        }
        let again = forge.start("again", family(0)).await.unwrap();
        assert!(again.is_new());
        again.result().await.unwrap();
        forge.shutdown().await;
    });
}
