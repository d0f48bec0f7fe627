//! What a database must be like to be worked with at all, asked when it is opened. What is found later is trouble of
//! the store: nothing fails by it, and runs wait.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::statement::Stmt;
use crate::store::shared::schema;

const ENCODING: &str = "SELECT current_setting('server_encoding'), current_database()::text";

/// Whether a policy would hide rows from this role; `row_security` is off in our sessions, where that is an error.
const POLICIES: &str = "
SELECT c.relname::text FROM pg_class AS c
WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = current_schema())
    AND c.relkind IN ('r', 'p') AND starts_with(c.relname, 'chrono_forge_')
    AND row_security_active(c.oid)
ORDER BY c.relname";

const INDEXES: &str = "
SELECT c.relname::text FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = current_schema())
    AND i.indisvalid AND starts_with(c.relname, 'chrono_forge_')";

/// Indexes that belong to constraints, and one that only this database needs.
const CONSTRAINTS: [&str; 12] = [
    "chrono_forge_workflows_pkey",
    "chrono_forge_workflows_long_identity",
    "chrono_forge_execution_logs_pkey",
    "chrono_forge_execution_logs_workflow_id_step_name_key",
    "chrono_forge_error_logs_pkey",
    "chrono_forge_workers_pkey",
    "chrono_forge_blocked_pkey",
    "chrono_forge_claims_pkey",
    "chrono_forge_audits_pkey",
    "chrono_forge_imports_pkey",
    "chrono_forge_context_pkey",
    "chrono_forge_applications_pkey",
];

/// Why the database cannot hold every text, if it cannot.
pub(super) fn encoding(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    let rows: Vec<(String, String)> = Stmt::<(Text, Text)>::new(ENCODING, &[]).load(conn)?;
    let refusal = |(encoding, database): (String, String)| {
        (encoding != "UTF8").then(|| {
            format!(
                "the database `{database}` has the encoding {encoding}, which does not hold every text that runs write: \
                 create one with CREATE DATABASE .. ENCODING 'UTF8' TEMPLATE template0, and name it in the URL"
            )
        })
    };
    Ok(rows.into_iter().next().and_then(refusal))
}

/// Why the tables cannot be worked with as they are, if they cannot.
pub(super) fn tables(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    let hidden: Vec<(String,)> = Stmt::<(Text,)>::new(POLICIES, &[]).load(conn)?;
    if !hidden.is_empty() {
        let names: Vec<String> = hidden.into_iter().map(|(name,)| name).collect();
        let names = names.join("`, `");
        return Ok(Some(format!(
            "row-level security is in force for this role on `{names}`: rows that it hides would be taken for rows that \
             do not exist; ALTER TABLE .. DISABLE ROW LEVEL SECURITY, or let a role work here that has BYPASSRLS"
        )));
    }
    let found: Vec<(String,)> = Stmt::<(Text,)>::new(INDEXES, &[]).load(conn)?;
    let wanted = schema::INDEXES.iter().chain(&CONSTRAINTS);
    let is_missing = |name: &&&str| !found.iter().any(|(found,)| found == **name);
    let missing: Vec<&str> = wanted.filter(is_missing).copied().collect();
    Ok(schema::missing_indexes(&missing))
}
