//! What this role may do to the schema that it was sent to, asked only where something lacks in it:
//! then the answer is told before anything is tried.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};

use super::super::statement::Stmt;
use crate::telemetry::TARGET;

/// `has_schema_privilege` of no schema is null. Other schemas that hold tables of ours are named,
/// three of them.
const RIGHTS: &str = "
SELECT current_user::text, current_database()::text,
    coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'this host'),
    n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), false),
    coalesce(has_schema_privilege(n.oid, 'CREATE'), false),
    has_database_privilege(current_database(), 'CREATE'),
    pg_get_userbyid(c.relowner)::text, coalesce(pg_has_role(c.relowner, 'USAGE'), false),
    ARRAY(
        SELECT o.nspname::text FROM pg_class AS t JOIN pg_namespace AS o ON o.oid = t.relnamespace
        WHERE t.relname = 'chrono_forge_schema_migrations' AND t.relkind = 'r' AND o.nspname <> named.schema
        ORDER BY 1 LIMIT 3
    )
FROM (SELECT ?::text AS schema) AS named
LEFT JOIN pg_namespace AS n ON n.nspname = named.schema
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'chrono_forge_schema_migrations'";

type Types = (
    Text,
    Text,
    Text,
    Bool,
    Bool,
    Bool,
    Bool,
    Nullable<Text>,
    Bool,
    diesel::sql_types::Array<Text>,
);

/// What is there for a role, and what it may do.
#[derive(Clone, Debug, Default, Queryable)]
pub(super) struct Rights {
    role: String,
    database: String,
    server: String,
    has_schema: bool,
    may_use: bool,
    may_create_tables: bool,
    may_create_schemas: bool,
    /// Whose our tables are; `None` where there are none.
    owner: Option<String>,
    may_alter: bool,
    /// Other schemas that hold tables of ours.
    others: Vec<String>,
}

/// Asks for them.
pub(super) fn find(conn: &mut PgConnection, schema: &str) -> QueryResult<Rights> {
    let mut rows: Vec<Rights> = Stmt::<Types>::new(RIGHTS, &[schema.into()]).load(conn)?;
    Ok(rows.pop().unwrap_or_default())
}

impl Rights {
    /// Why this role cannot bring this schema to the version that lacks, or (unless it is to
    /// migrate) find it there.
    pub(super) fn refusal(&self, schema: &str, lacks: &str, migrate: bool) -> Option<String> {
        let Self { role, database, .. } = self;
        let meant = self.meant();
        if !self.has_schema {
            let is_missing = format!("the database `{database}` has no schema `{schema}`{meant}");
            return match (migrate, self.may_create_schemas) {
                (true, true) => None,
                (true, false) => Some(format!(
                    "permission denied: {is_missing}, and the role `{role}` may not create it: CREATE SCHEMA {schema} \
                     AUTHORIZATION {role}, or open it once under a role that may"
                )),
                (false, _) => Some(format!(
                    "{is_missing}: correct `schema=` in the URL, or open it once without `verify_only()`, under a role \
                     that may create it"
                )),
            };
        }
        if !self.may_use {
            return Some(format!(
                "permission denied: the schema `{schema}` of `{database}` is there, and the role `{role}` may not use it: \
                 GRANT USAGE ON SCHEMA {schema} TO {role}, and see the guide on scaling for its tables"
            ));
        }
        let Some(owner) = &self.owner else {
            return match (migrate, self.may_create_tables) {
                (true, true) => None,
                (true, false) => Some(format!(
                    "permission denied: the schema `{schema}` of `{database}` has no tables of ours{meant}, and the role \
                     `{role}` may not create them: GRANT CREATE ON SCHEMA {schema} TO {role}, or open it once under a \
                     role that may"
                )),
                (false, _) => Some(format!(
                    "the schema `{schema}` of `{database}` has no tables of ours{meant}: correct `schema=` in the URL, or \
                     open it once without `verify_only()`, under a role that may create them"
                )),
            };
        };
        let may_migrate = self.may_alter && self.may_create_tables;
        (migrate && !may_migrate).then(|| {
            format!(
                "permission denied: the database lacks schema version {lacks}, and the role `{role}` may not migrate: open \
                 it once as `{owner}`, whose tables they are"
            )
        })
    }

    /// Where the runs are that somebody may miss here.
    fn meant(&self) -> String {
        match &self.others[..] {
            [] => String::new(),
            others => format!(
                " (runs are in `{}`: did you mean that one?)",
                others.join("`, `")
            ),
        }
    }

    /// A schema that is made beside another one may be a slip of the pen.
    pub(super) fn warn_of_others(&self, schema: &str) {
        if self.has_schema || self.others.is_empty() {
            return;
        }
        let (database, others) = (&*self.database, self.others.join(", "));
        tracing::warn!(target: TARGET, schema, database, others, "a schema is created in a database where others hold runs: see that `schema=` in the URL names the one that is meant");
    }

    /// Where all of it is, for the log.
    pub(super) fn place(&self, schema: &str) -> String {
        format!("{schema} in {} on {}", self.database, self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner_of_all() -> Rights {
        Rights {
            role: "app".to_owned(),
            database: "shop".to_owned(),
            server: "10.0.0.7:5432".to_owned(),
            has_schema: true,
            may_use: true,
            may_create_tables: true,
            may_create_schemas: true,
            owner: Some("app".to_owned()),
            may_alter: true,
            others: Vec::new(),
        }
    }

    fn told(rights: &Rights, migrate: bool) -> String {
        rights.refusal("forge", "7", migrate).unwrap_or_default()
    }

    #[test]
    fn who_may_is_not_refused() {
        let all = owner_of_all();
        assert_eq!(told(&all, true), "");
        let new = Rights {
            has_schema: false,
            owner: None,
            ..all.clone()
        };
        assert_eq!(told(&new, true), "");
        let empty = Rights { owner: None, ..all };
        assert_eq!(told(&empty, true), "");
    }

    #[test]
    fn what_lacks_is_told_with_the_statement_that_helps() {
        let all = owner_of_all();
        let others = vec!["forge1".to_owned()];
        let new = Rights {
            has_schema: false,
            owner: None,
            others,
            ..all.clone()
        };
        let no_schema = Rights {
            may_create_schemas: false,
            ..new.clone()
        };
        let no_use = Rights {
            may_use: false,
            ..all.clone()
        };
        let no_tables = Rights {
            owner: None,
            may_create_tables: false,
            ..all.clone()
        };
        let not_its_own = Rights {
            owner: Some("boss".to_owned()),
            may_alter: false,
            ..all
        };
        for (rights, migrate, words) in [
            (
                &no_schema,
                true,
                ["CREATE SCHEMA forge AUTHORIZATION app", "`forge1`"],
            ),
            (&new, false, ["`verify_only()`", "did you mean"]),
            (
                &no_use,
                true,
                ["GRANT USAGE ON SCHEMA forge TO app", "is there"],
            ),
            (
                &no_use,
                false,
                ["GRANT USAGE ON SCHEMA forge TO app", "is there"],
            ),
            (
                &no_tables,
                true,
                ["GRANT CREATE ON SCHEMA forge TO app", "`shop`"],
            ),
            (&no_tables, false, ["`schema=`", "`verify_only()`"]),
            (&not_its_own, true, ["lacks schema version 7", "as `boss`"]),
        ] {
            let told = told(rights, migrate);
            for word in words {
                assert!(told.contains(word), "no {word}: {told}");
            }
        }
    }
}
