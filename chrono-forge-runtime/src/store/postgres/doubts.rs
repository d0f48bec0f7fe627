//! What a server is set to that makes less of the engine's promises, told when it is opened.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::statement::Stmt;
use crate::telemetry::TARGET;

const SETTINGS: &str = "
SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('lc_messages')";

/// What this session is set to.
pub(super) fn find(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let rows: Vec<(String, String, String)> =
        Stmt::<(Text, Text, Text)>::new(SETTINGS, &[]).load(conn)?;
    let doubts = |(fsync, commit, messages): &(String, String, String)| of(fsync, commit, messages);
    Ok(rows.first().map(doubts).unwrap_or_default())
}

/// Into the log.
pub(super) fn tell(doubts: &[String]) {
    for doubt in doubts {
        tracing::warn!(target: TARGET, "{doubt}");
    }
}

fn of(fsync: &str, synchronous_commit: &str, lc_messages: &str) -> Vec<String> {
    let mut doubts = Vec::new();
    for (name, value) in [("fsync", fsync), ("synchronous_commit", synchronous_commit)] {
        if value == "off" {
            doubts.push(format!(
                "`{name}` is off: when the server crashes, commits that it acknowledged are lost, and steps that were \
                 recorded run again; turn it on for this role"
            ));
        }
    }
    let is_understood = ["C", "POSIX", "en", ""].iter().any(|known| {
        let language = lc_messages.split(['.', '_']).next();
        language == Some(*known)
    });
    if !is_understood {
        doubts.push(format!(
            "the server tells its errors in `{lc_messages}`, so that some are not recognized: a right that is missing \
             or a full disk may then fail the run that met it; `ALTER ROLE .. SET lc_messages = 'C'` for this role"
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn what_an_installation_comes_with_is_no_doubt() {
        for messages in ["C", "C.UTF-8", "en_US.UTF-8", "POSIX", ""] {
            assert_eq!(of("on", "on", messages), Vec::<String>::new());
        }
        assert!(of("on", "remote_apply", "C").is_empty());
        assert!(of("on", "local", "C").is_empty());
    }

    #[test]
    fn what_loses_commits_or_is_not_understood_is_told_by_name() {
        let doubts = of("off", "off", "de_DE.UTF-8");
        let names = ["`fsync`", "`synchronous_commit`", "`de_DE.UTF-8`"];
        assert_eq!(doubts.len(), names.len());
        for (doubt, name) in doubts.iter().zip(names) {
            assert!(doubt.contains(name), "{doubt}");
        }
    }
}
