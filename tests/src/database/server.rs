//! PostgreSQL's rows, in a schema of the test's own.

mod room;

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::pg::{Pg, PgConnection};
use diesel::query_builder::BoxedSqlQuery;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, QueryableByName, RunQueryDsl, sql_query};

use super::look::{Line, Param};
use room::Room;

/// Where the server is.
const URL: &str = "CHRONO_FORGE_TEST_POSTGRES_URL";

/// The functions that every kind of database knows in tests.
const FUNCTIONS: &str = "
CREATE FUNCTION instant(bigint) RETURNS timestamptz IMMUTABLE LANGUAGE sql
    AS $$ SELECT timestamptz 'epoch' + $1 * interval '1 microsecond' $$;
CREATE FUNCTION micros(timestamptz) RETURNS bigint IMMUTABLE LANGUAGE sql
    AS $$ SELECT (extract(epoch FROM $1) * 1000000)::bigint $$;
CREATE FUNCTION flag(boolean) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT $1::int $$;
CREATE FUNCTION field(text, text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT $1::json ->> $2 $$;";

/// A schema; dropped with this value.
pub(super) struct Schema {
    name: String,
    connection: Connection,
    _room: Room,
}

/// One connection for all looks of a test: a server takes its time to open another.
#[derive(Clone)]
pub struct Connection(Arc<Mutex<PgConnection>>);

impl Schema {
    pub(super) fn new(engines: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let room = Room::take(engines);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cf_scn_{}_{next}", std::process::id());
        let connection = connect(&name);
        // A process of the same id may have been killed in the midst of its test.
        connection.script(&format!(
            "DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}; {FUNCTIONS}"
        ));
        Self {
            name,
            connection,
            _room: room,
        }
    }

    /// Ends the sessions of all engines: those of one that was dropped take their time to go, and a server has
    /// few.
    pub(super) fn cut_off(&self) {
        let sql = "SELECT count(pg_terminate_backend(pid, 5000)) AS count FROM pg_stat_activity
            WHERE application_name = $1";
        // Whoever may not end them waits until they go.
        let _ = self.connection.with(|it| {
            let query = sql_query(sql).bind::<Text, _>(&self.name);
            query.execute(it)
        });
    }

    /// Another connection.
    pub(super) fn connect(&self) -> Connection {
        connect(&self.name)
    }

    pub(super) fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// Of an empty schema of this name beside this one; gone with it.
    pub(super) fn url_beside(&self, name: &str) -> String {
        self.url_of(&format!("{}_{name}", self.name))
    }

    fn url_of(&self, schema: &str) -> String {
        let server = server();
        let and = if server.contains('?') { '&' } else { '?' };
        format!("{server}{and}schema={schema}&{}", self.mark())
    }

    /// A part of the URL that is no other test's and reaches libpq.
    pub(super) fn mark(&self) -> String {
        format!("application_name={}", self.name)
    }

    pub(super) fn connection(&self) -> Connection {
        self.connection.clone()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.cut_off();
        let drop = drop_all(&self.name);
        let dropped = self.connection.with(|it| it.batch_execute(&drop));
        if let Err(error) = dropped {
            // Who fails already must not abort.
            let _ = writeln!(
                std::io::stderr(),
                "schema {} is left behind: {error}",
                self.name
            );
        }
    }
}

impl Connection {
    pub(super) fn edit(&self, sql: &str, params: &[Param]) -> usize {
        self.with(|it| bound(sql, params).execute(it))
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(super) fn script(&self, sql: &str) {
        self.with(|it| it.batch_execute(sql))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(super) fn lines(&self, sql: &str, params: &[Param]) -> Vec<Line> {
        let sql = format!("SELECT row_to_json(q)::text AS line FROM ({sql}) AS q");
        match self.with(|it| bound(&sql, params).load::<Written>(it)) {
            Ok(rows) => rows.iter().map(Written::line).collect(),
            Err(error) if is_missing_table(&error.to_string()) => Vec::new(),
            Err(error) => panic!("{sql}: {error}"),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut PgConnection) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Drops the schema and those beside it.
fn drop_all(name: &str) -> String {
    format!(
        "DO $$ DECLARE it text; BEGIN
            FOR it IN SELECT nspname FROM pg_namespace
                WHERE nspname = '{name}' OR starts_with(nspname, '{name}_')
            LOOP EXECUTE format('DROP SCHEMA %I CASCADE', it); END LOOP;
        END $$"
    )
}

fn connect(schema: &str) -> Connection {
    let mut connection = PgConnection::establish(&server()).expect("the server answers");
    // Replicas check no foreign keys, which edits tear apart on purpose.
    let prepare = format!(
        "SET client_min_messages = error; SET lock_timeout = '20s'; SET statement_timeout = '60s';
        SET session_replication_role = replica; SET search_path = {schema}"
    );
    connection.batch_execute(&prepare).expect("a session");
    Connection(Arc::new(Mutex::new(connection)))
}

/// A row as the server writes it.
#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Written {
    fn line(&self) -> Line {
        serde_json::from_str(&self.line).expect("a row is an object")
    }
}

fn is_missing_table(error: &str) -> bool {
    error.starts_with("relation ") && error.ends_with(" does not exist")
}

/// The statement with a `$n` for each `?`.
fn bound<'a>(
    sql: &str,
    params: &'a [Param],
) -> BoxedSqlQuery<'a, Pg, diesel::query_builder::SqlQuery> {
    let mut numbered = String::new();
    let mut next = 0;
    for (at, part) in sql.split('\'').enumerate() {
        let is_text = at % 2 == 1;
        if at > 0 {
            numbered.push('\'');
        }
        for character in part.chars() {
            if character == '?' && !is_text {
                next += 1;
                numbered.push_str(&format!("${next}"));
            } else {
                numbered.push(character);
            }
        }
    }
    let query = sql_query(numbered).into_boxed();
    params.iter().fold(query, |query, param| match param {
        Param::Int(number) => query.bind::<BigInt, _>(number),
        Param::Text(text) => query.bind::<Text, _>(text),
    })
}

fn server() -> String {
    std::env::var(URL).unwrap_or_else(|_| panic!("set {URL}, as postgres://user@host/database"))
}
