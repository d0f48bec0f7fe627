//! How many sessions the server has room for, counted when it is opened: who runs out of them later
//! only waits.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::statement::Stmt;
use crate::telemetry::TARGET;

/// A limit of -1 is none. Of the sessions of others anybody sees that they are there.
const ROOMS: &str = "
SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
        - coalesce(current_setting('reserved_connections', true)::bigint, 0),
    count(*), r.rolconnlimit::bigint, count(*) FILTER (WHERE a.usesysid = r.oid),
    d.datconnlimit::bigint, count(*) FILTER (WHERE a.datid = d.oid), r.rolname::text, d.datname::text
FROM pg_roles AS r
CROSS JOIN pg_database AS d
CROSS JOIN pg_stat_activity AS a
WHERE r.rolname = current_user AND d.datname = current_database() AND a.backend_type = 'client backend'
GROUP BY r.oid, r.rolname, r.rolconnlimit, d.oid, d.datname, d.datconnlimit";

type Types = (BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, Text, Text);
type Row = (i64, i64, i64, i64, i64, i64, String, String);

/// A limit, and how many of it are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    setting: String,
    most: i64,
    taken: i64,
}

/// The limits that hold for this session.
pub(super) fn find(conn: &mut PgConnection) -> QueryResult<Vec<Room>> {
    let rows: Vec<Row> = Stmt::<Types>::new(ROOMS, &[]).load(conn)?;
    Ok(rows.into_iter().flat_map(of).collect())
}

fn of(row: Row) -> Vec<Room> {
    let (server, all, role, of_role, database, of_database, role_name, database_name) = row;
    let room = |setting: String, most, taken| Room {
        setting,
        most,
        taken,
    };
    let rooms = [
        room("max_connections".to_owned(), server, all),
        room(
            format!("CONNECTION LIMIT of the role `{role_name}`"),
            role,
            of_role,
        ),
        room(
            format!("CONNECTION LIMIT of the database `{database_name}`"),
            database,
            of_database,
        ),
    ];
    rooms.into_iter().filter(|room| room.most >= 0).collect()
}

/// Warns where there is none for as many sessions as this process may open beside this one.
pub(super) fn warn(rooms: &[Room], needed: u32) {
    for room in rooms {
        if let Some(problem) = problem(room, needed) {
            tracing::warn!(target: TARGET, "{problem}");
        }
    }
}

fn problem(room: &Room, needed: u32) -> Option<String> {
    let Room {
        setting,
        most,
        taken,
    } = room;
    let left = most - taken;
    (left < i64::from(needed) - 1).then(|| {
        format!(
            "this engine keeps up to {needed} sessions, and the server has room for {} of them: {setting} is {most}, of \
             which {taken} are taken; raise it, end sessions that nobody needs, or ask for fewer (`.readers(..)`, \
             `.writers(..)`)",
            left.max(0) + 1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_room_is_no_problem_and_what_has_none_is_told_with_its_setting() {
        let row = |role, taken| {
            (
                97,
                20,
                role,
                taken,
                -1,
                9,
                "app".to_owned(),
                "shop".to_owned(),
            )
        };
        let problems = |row: Row| {
            let rooms = of(row);
            let problems = rooms.iter().filter_map(|room| problem(room, 9));
            problems.collect::<Vec<String>>()
        };
        assert_eq!(problems(row(-1, 5)), Vec::<String>::new());
        // This session is one of the nine.
        assert_eq!(problems(row(9, 1)), Vec::<String>::new());
        let told = problems(row(9, 2));
        assert_eq!(told.len(), 1, "{told:?}");
        for word in ["up to 9", "room for 8", "role `app`", "is 9, of which 2"] {
            assert!(told[0].contains(word), "no {word}: {told:?}");
        }
    }
}
