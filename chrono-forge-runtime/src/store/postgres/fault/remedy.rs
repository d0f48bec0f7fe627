//! What helps against a failure, told behind the server's message.

use std::fmt::Display;

use crate::error::STAYS_LOCKED;

/// Parts of messages, each with what helps; the first that fits.
const REMEDIES: [(&str, &str); 14] = [
    (
        "row-level security",
        "a policy would hide rows from this role: ALTER TABLE .. DISABLE ROW LEVEL SECURITY, or let a role work here \
         that has BYPASSRLS",
    ),
    (
        "has no equivalent in encoding",
        "move to a database with ENCODING 'UTF8', which holds every text",
    ),
    (
        "permission denied",
        "give this role USAGE on the schema and its sequences and SELECT, INSERT, UPDATE, DELETE on its tables, \
         and let one that may create migrate (GRANT, see the guide on scaling)",
    ),
    (
        "no schema has been selected",
        "create the schema, or open it once with migrate, by a role that may create",
    ),
    (
        "password authentication failed",
        "correct the user and the password in the URL",
    ),
    (
        "no pg_hba.conf entry",
        "allow this user and host in the server's pg_hba.conf, or correct the URL",
    ),
    ("FATAL:  database", "create it, or correct the URL"),
    (
        "FATAL:  role",
        "create it and let it log in, or correct the URL",
    ),
    (
        "does not exist",
        "this is not the schema that this release needs: open it once with migrate, and see that `schema=` in \
         the URL names it",
    ),
    (
        "invalid connection option",
        "correct the address: libpq knows no such keyword, and ours are `schema`, `notify`, `pooler` and `writers`",
    ),
    (
        "invalid URI query parameter",
        "correct the URL: libpq knows no such parameter, and ours are `schema`, `notify`, `pooler` and `writers`",
    ),
    ("due to lock timeout", STAYS_LOCKED),
    ("No space left on device", "make room on the server's disk"),
    (
        "read-only transaction",
        "this server takes no writes: name all hosts in the URL with target_session_attrs=read-write",
    ),
];

/// The message, and what helps if that is known.
pub(super) fn told(error: &impl Display) -> String {
    let error = error.to_string();
    let message = error.trim_end();
    match REMEDIES.iter().find(|(text, _)| message.contains(text)) {
        Some((_, remedy)) => format!("{message}: {remedy}"),
        None => message.to_owned(),
    }
}
