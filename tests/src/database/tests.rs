//! Both kinds answer alike.

use serde::Deserialize;

use super::{Database, Look};
use crate::backend::{Backend, backends};

#[derive(Debug, PartialEq, Deserialize)]
struct Thing {
    id: i64,
    at: Option<i64>,
    name: String,
    is_set: i64,
}

fn database(backend: Backend) -> (Database, Look) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::new(backend, folder, 1);
    let look = database.look();
    let instant = match backend {
        Backend::Sqlite => "INTEGER",
        Backend::Postgres => "timestamptz",
    };
    look.script(&format!(
        "CREATE TABLE things (id bigint, at {instant}, name text)"
    ));
    (database, look)
}

#[backends]
fn values_come_back_as_they_went(backend: Backend) {
    let (_database, look) = database(backend);
    let text = "what's? \"ä\" $1 \u{0}".trim_end_matches('\0');
    let insert = "INSERT INTO things (id, at, name) VALUES (?, instant(?), ? || '?')";
    // Microseconds of an instant that a double cannot tell from its neighbours in seconds.
    let at = 4_102_444_800_123_457;
    assert_eq!(look.edit(insert, &[1.into(), at.into(), text.into()]), 1);
    assert_eq!(look.edit("UPDATE things SET id = id + 1", &[]), 1);
    let things = "SELECT id, micros(at) AS at, name, flag(at IS NULL) AS is_set FROM things";
    let thing = Thing {
        id: 2,
        at: Some(at),
        name: format!("{text}?"),
        is_set: 0,
    };
    assert_eq!(look.rows::<Thing>(things, &[]), [thing]);
    assert_eq!(
        look.number("SELECT count(*) FROM things WHERE id > ?", &[2.into()]),
        0
    );
}

#[backends]
fn fields_of_json_are_texts_or_none(backend: Backend) {
    let (_database, look) = database(backend);
    let of = |name: &str, json: &str| {
        let sql = "SELECT coalesce(field(?, ?), 'none')";
        look.texts(sql, &[json.into(), name.into()])
    };
    assert_eq!(of("a", r#"{"a":"x"}"#), ["x"]);
    assert_eq!(of("a", r#"{"a":1,"b":2}"#), ["1"]);
    assert_eq!(of("a", r#"{"a":null}"#), ["none"]);
    assert_eq!(of("a", "{}"), ["none"]);
}

#[backends]
fn a_table_that_is_not_there_has_no_rows(backend: Backend) {
    let (_database, look) = database(backend);
    assert!(look.texts("SELECT * FROM missing", &[]).is_empty());
}

#[backends]
fn a_database_is_its_own_and_gone_with_its_test(backend: Backend) {
    let (database, look) = database(backend);
    let url = database.url();
    let other = Database::new(backend, tempfile::tempdir().expect("a folder"), 1);
    assert_ne!(other.url(), url);
    assert!(other.is_untouched());
    drop((look, database));
    if backend == Backend::Postgres {
        let name = url.split_once("schema=").expect("a schema").1;
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname = ?";
        assert_eq!(other.look().number(left, &[name.into()]), 0);
    }
}
