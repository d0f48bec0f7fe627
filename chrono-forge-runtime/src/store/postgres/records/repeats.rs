//! The rows of repeats, found without walking through their repetitions.
//!
//! `repeat$k` stands before `repeat$k$<instant>` in the index, of which there may be millions. So each
//! look-up begins where the last name's repetitions end: instants are digits, a point and a sign, all of which
//! come before a tilde.

/// `repeat_rows`: the rows `repeat$<key>` of these runs, which are given as the rows of one column.
macro_rules! repeat_rows {
    ($runs:literal) => {
        concat!(
            "
WITH RECURSIVE repeats (run, name) AS (
    SELECT v.run, n.step_name
    FROM ",
            $runs,
            " AS v (run)
    CROSS JOIN LATERAL (
        SELECT l.step_name FROM chrono_forge_execution_logs AS l
        WHERE l.workflow_id = v.run AND l.step_name > 'repeat$' AND l.step_name < 'repeat%'
        ORDER BY l.step_name LIMIT 1
    ) AS n
    UNION ALL
    SELECT r.run, n.step_name
    FROM repeats AS r
    CROSS JOIN LATERAL (
        SELECT l.step_name FROM chrono_forge_execution_logs AS l
        WHERE l.workflow_id = r.run AND l.step_name < 'repeat%'
            AND l.step_name > CASE
                WHEN strpos(substr(r.name, 8), '$') = 0 THEN r.name
                ELSE 'repeat$' || split_part(r.name, '$', 2) || '$~'
            END
        ORDER BY l.step_name LIMIT 1
    ) AS n
),
repeat_rows AS (
    SELECT l.* FROM repeats AS r
    JOIN chrono_forge_execution_logs AS l ON l.workflow_id = r.run AND l.step_name = r.name
    WHERE strpos(substr(r.name, 8), '$') = 0
)"
        )
    };
}
pub(in crate::store::postgres) use repeat_rows;
