//! Who has used our tables for longer than a moment, and keeps them as they are.

use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Text};

use super::super::connection::{PATIENCE, Session};
use super::super::statement::Stmt;
use crate::store::StoreResult;
use crate::store::shared::codes::micros_of;

/// What the server does not let this role see of others is null; whoever is not known to be new is
/// old.
const HOLDERS: &str = "
SELECT l.pid, coalesce(nullif(a.application_name, ''), a.backend_type), a.usename::text,
    to_char(a.xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS'), min(c.relname)::text
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = current_schema())
    AND c.relkind IN ('r', 'p') AND starts_with(c.relname, 'chrono_forge_')
    AND (a.xact_start IS NULL OR a.xact_start < clock_timestamp() - ? * interval '1 microsecond')
GROUP BY 1, 2, 3, 4
ORDER BY 4, 1
LIMIT 5";

type Row = (
    Option<i32>,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
);

/// A transaction that has a lock on one of our tables.
pub(super) struct Holder {
    /// `None` of a transaction that was prepared and whose session is gone.
    pid: Option<i32>,
    application: Option<String>,
    user: Option<String>,
    since: Option<String>,
    table: String,
}

/// The oldest of them. One that began within the time that a lock is waited for is on its way out,
/// or would have been waited for.
pub(super) fn find(session: &mut Session) -> StoreResult<Vec<Holder>> {
    let age = micros_of(session.lock_wait() / 2);
    type Types = (
        Nullable<Integer>,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<Text>,
        Text,
    );
    let rows: Vec<Row> = session.transaction("open", PATIENCE, true, |conn| {
        Stmt::<Types>::new(HOLDERS, &[age.into()]).load(conn)
    })?;
    let holder = |(pid, application, user, since, table)| Holder {
        pid,
        application,
        user,
        since,
        table,
    };
    Ok(rows.into_iter().map(holder).collect())
}

/// In words.
pub(super) fn listed(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "transactions that begin and end all the time".to_owned();
    }
    let told: Vec<String> = holders.iter().map(Holder::told).collect();
    told.join("; ")
}

impl Holder {
    fn told(&self) -> String {
        let who = match self.pid {
            Some(pid) => format!("pid {pid}"),
            None => "a prepared transaction (pg_prepared_xacts)".to_owned(),
        };
        let application = self.application.as_deref().map(|it| format!(" `{it}`"));
        let user = self.user.as_deref().map(|it| format!(" of {it}"));
        let since = self.since.as_deref();
        let since = since.map(|it| format!(" since {it} UTC"));
        let [application, user, since] = [application, user, since].map(Option::unwrap_or_default);
        format!("{who}{application}{user} uses {}{since}", self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_in_the_way_is_told_with_what_is_known() {
        let dump = Holder {
            pid: Some(4711),
            application: Some("pg_dump".to_owned()),
            user: Some("backup".to_owned()),
            since: Some("11:02:03".to_owned()),
            table: "chrono_forge_workflows".to_owned(),
        };
        let prepared = Holder {
            pid: None,
            application: None,
            user: None,
            since: None,
            table: "chrono_forge_workers".to_owned(),
        };
        assert_eq!(
            listed(&[dump, prepared]),
            "pid 4711 `pg_dump` of backup uses chrono_forge_workflows since 11:02:03 UTC; \
             a prepared transaction (pg_prepared_xacts) uses chrono_forge_workers"
        );
        assert!(listed(&[]).contains("all the time"));
    }
}
