//! What a plan reads, of which table, by which index.

use std::fmt;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::Value;

/// One place of a plan that reads rows of a table.
pub(super) struct Access {
    pub(super) table: String,
    alias: String,
    pub(super) index: Option<String>,
    pub(super) condition: Option<String>,
    /// Something above it stops it early.
    pub(super) is_limited: bool,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.trim_start_matches("chrono_forge_");
        write!(f, "{table}")?;
        if self.alias != self.table {
            write!(f, " {}", self.alias)?;
        }
        match &self.index {
            None => write!(f, ": all rows")?,
            Some(index) => write!(f, ": {}", index.trim_start_matches("chrono_forge_"))?,
        }
        match &self.condition {
            Some(condition) => write!(f, " {condition}"),
            None if self.is_limited => write!(f, " up to a limit"),
            None => Ok(()),
        }
    }
}

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text)]
    plan: String,
}

/// What this command reads, outermost first. Needs the function `plan_of` of the crowd.
pub(super) fn accesses(conn: &mut PgConnection, command: &str) -> Vec<Access> {
    let query = format!("SELECT plan_of('{}') AS plan", command.replace('\'', "''"));
    let plans: Vec<Plan> = diesel::sql_query(query).load(conn).unwrap();
    let plan: Value = serde_json::from_str(&plans[0].plan).unwrap();
    let mut found = Vec::new();
    walk(&plan[0]["Plan"], false, &mut found);
    found
}

fn walk(node: &Value, is_limited: bool, found: &mut Vec<Access>) {
    let text = |key: &str| node[key].as_str().map(str::to_owned);
    let kind = text("Node Type").unwrap_or_default();
    let below = node["Plans"].as_array();
    let below = || below.into_iter().flatten();
    if kind.ends_with("Scan")
        && let Some(table) = text("Relation Name")
    {
        // The index of a bitmap is in the node below.
        let part = |key: &str| {
            let own = text(key);
            own.or_else(|| below().find_map(|node| Some(node[key].as_str()?.to_owned())))
        };
        found.push(Access {
            alias: text("Alias").unwrap_or_default(),
            index: part("Index Name"),
            condition: part("Index Cond"),
            is_limited,
            table,
        });
    }
    for child in below() {
        // A sort reads everything before it gives anything.
        let is_limited = kind == "Limit" || is_limited && kind != "Sort";
        walk(child, is_limited, found);
    }
}
