//! What helps against a failure, told behind the server's message.

use std::fmt::Display;

use crate::error::STAYS_LOCKED;

/// Parts of messages, each with what helps; the first that fits.
const REMEDIES: [(&str, &str); 30] = [
    // Before what they may be part of: a file that does not exist is no table.
    (
        "root certificate file",
        "name the file with the certificate of who signed the server's with `sslrootcert=`, or encrypt without knowing \
         the server (`sslmode=require`)",
    ),
    (
        "weak sslmode",
        "`sslrootcert=system` wants `sslmode=verify-full`",
    ),
    (
        "certificate verify failed",
        "`sslrootcert=` has to name a file with the certificate of who signed the server's",
    ),
    (
        "server certificate for",
        "write the host's name as it is in the certificate, or check who signed it and not the name \
         (`sslmode=verify-ca`)",
    ),
    (
        "certificate",
        "see `sslcert`, `sslkey` and `sslrootcert` in the URL",
    ),
    (
        "private key file",
        "see `sslkey` in the URL; the file has to be its owner's alone (chmod 600)",
    ),
    (
        "does not support SSL",
        "turn TLS on at the server (`ssl = on`), or go without (`sslmode=disable`)",
    ),
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
        "no unique or exclusion constraint matching",
        "the schema is being made or put back, or lacks an index or a constraint, which `open` names: let whoever is at it \
         come to an end",
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
        "Peer authentication failed",
        "on its socket this server takes only the system's user of that name: write a host and a password \
         (`postgres://user:password@127.0.0.1/database`), or let that user run this process",
    ),
    (
        "authentication failed",
        "correct the user in the URL, or how the server's pg_hba.conf lets it in",
    ),
    (
        "not permitted to log in",
        "let the role log in (ALTER ROLE .. LOGIN), or correct the URL",
    ),
    (
        "no password supplied",
        "write it into the URL, or name a file that has it (`passfile=`)",
    ),
    (
        "pg_hba.conf rejects",
        "allow this user and host in the server's pg_hba.conf, or correct the URL",
    ),
    (
        "no pg_hba.conf entry",
        "allow this user and host in the server's pg_hba.conf, or correct the URL",
    ),
    (
        "\n\" does not exist",
        "its name ends with a line break: leave that out where the name is read from",
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
        "correct the address: libpq knows no such keyword, and ours are `schema`, `notify`, `pooler`, `writers` and `readers`",
    ),
    (
        "invalid URI query parameter",
        "correct the URL: libpq knows no such parameter, and ours are `schema`, `notify`, `pooler`, `writers` and `readers`",
    ),
    ("due to lock timeout", STAYS_LOCKED),
    ("No space left on device", "make room on the server's disk"),
    (
        "definition of service",
        "correct `service=`, or the file that defines it (`PGSERVICEFILE`)",
    ),
    (
        "session is read-only",
        "this server takes no writes: name all hosts in the URL, or the one that takes them; to read only, \
         `target_session_attrs=any` and `.worker(false)`",
    ),
    (
        "read-only transaction",
        "this server takes no writes: name all hosts in the URL with target_session_attrs=read-write",
    ),
];

/// The message, and what helps if that is known.
pub(super) fn told(error: &impl Display) -> String {
    let error = error.to_string();
    let message = each_once(error.trim_end());
    match REMEDIES.iter().find(|(text, _)| message.contains(text)) {
        Some((_, remedy)) => format!("{message}: {remedy}"),
        None => message,
    }
}

/// Without what it says again: a server that is asked with TLS and without is refused alike by
/// both.
fn each_once(message: &str) -> String {
    let mut told: Vec<&str> = Vec::new();
    for line in message.lines() {
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told.join("\n")
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn what_is_wrong_with_a_certificate_is_not_taken_for_a_missing_table() {
        for (message, remedy) in [
            (
                "root certificate file \"/no/such.crt\" does not exist",
                "`sslrootcert=`",
            ),
            (
                "server certificate for \"db\" does not match host name \"10.0.0.1\"",
                "`sslmode=verify-ca`",
            ),
            ("certificate file \"/c.crt\" does not exist", "`sslcert`"),
            (
                "server does not support SSL, but SSL was required",
                "`sslmode=disable`",
            ),
            (
                "private key file \"/k\" has group or world access",
                "chmod 600",
            ),
        ] {
            let told = told(&message);
            assert!(told.contains(remedy), "{told}");
            assert!(!told.contains("migrate"), "{told}");
        }
    }

    #[test]
    fn what_is_said_twice_is_told_once() {
        let line = "connection to server at \"db\", port 5432 failed: FATAL:  password authentication failed for user \"app\"";
        let told = told(&format!("{line}\n{line}\n"));
        assert_eq!(
            told.matches("password authentication failed").count(),
            1,
            "{told}"
        );
        assert!(
            told.ends_with("correct the user and the password in the URL"),
            "{told}"
        );
    }

    #[test]
    fn a_name_with_a_line_break_is_not_to_be_created() {
        let told = told(&"FATAL:  database \"app\n\" does not exist");
        assert!(
            told.contains("line break") && !told.contains("create"),
            "{told}"
        );
    }
}
