//! What a primary key may be.

use chrono_forge_tests::backend::{Backend, backends};

use super::*;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;

diesel::table! {
    tags (tag) {
        tag -> Text,
    }
}

/// A key that is not one of the usual types.
#[derive(
    Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, AsExpression, FromSqlRow,
)]
#[diesel(sql_type = Text)]
pub(super) struct Tag(pub(super) String);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromSql<Text, Sqlite> for Tag {
    /// Trims, as a key does that is not what the database has.
    fn from_sql(value: diesel::sqlite::SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
        Ok(Self(text.trim_end().to_owned()))
    }
}

impl ToSql<Text, Sqlite> for Tag {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        <String as ToSql<Text, Sqlite>>::to_sql(&self.0, out)
    }
}

#[workflow]
async fn label(tag: String) -> Result<String> {
    Ok(tag)
}

#[workflow]
async fn label_all(pool: State<ShopPool>) -> Result<Vec<String>> {
    let labelled = branch!("b", automerge = true, {
        spawn_each!(
            "c",
            of = 2,
            Keyset::new(tags::table, tags::tag)
                .select(tags::tag)
                .pool(&pool),
            |tag: String| label(tag)
        )
    })
    .await?;
    Ok(labelled.collect().await?)
}

#[workflow(retry = RetryPolicy::none())]
async fn label_all_by_type(pool: State<ShopPool>) -> Result<Vec<String>> {
    let labelled = branch!("b", automerge = true, retry = RetryPolicy::none(), {
        let tags = Keyset::new(tags::table, tags::tag);
        spawn_each!("c", of = 2, tags.key::<Tag>().pool(&pool), |tag: (
            String,
        )| {
            label(tag.0)
        })
    })
    .await?;
    Ok(labelled.collect().await?)
}

/// A shop whose tags these are; `NULL` is none.
pub(super) fn tagged(world: &World, tags: &[&str]) -> ShopPool {
    let pool = shop::open(world.dir());
    shop::edit(&pool, "CREATE TABLE tags (tag TEXT PRIMARY KEY)");
    for tag in tags {
        shop::edit(&pool, &format!("INSERT INTO tags VALUES ({tag})"));
    }
    pool
}

#[scenario]
async fn a_key_of_text_may_hold_what_separates_the_parts_of_a_child_s_key(world: &World) {
    let tags = ["'a'", "'a$'", "'a$1'", "'a$$1'", "''", "'ä, \"x\"'"];
    let pool = tagged(world, &tags);
    let forge = world.builder([label_all::NAME, label::NAME]).state(pool);
    let forge = forge.open().await.unwrap();
    let run = forge.start("p", label_all()).await.unwrap();
    let labels = run.result().await.unwrap();
    assert_eq!(labels, ["", "a", "a$", "a$$1", "a$1", "ä, \"x\""]);
    let expected = ["", "a", "a$$", "a$$$$1", "a$$1", "ä, \"x\""];
    assert_eq!(keys(world, "p"), expected);
}

#[scenario]
async fn a_key_of_a_type_of_its_own_is_named(world: &World) {
    let pool = tagged(world, &["'a'", "'b'", "'c'"]);
    let names = [label_all_by_type::NAME, label::NAME];
    let forge = world.builder(names).state(pool).open().await.unwrap();
    let run = forge.start("p", label_all_by_type()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), ["a", "b", "c"]);
}

/// Why a branch over these tags fails.
async fn failure(world: &World, tags: &[&str]) -> String {
    let pool = tagged(world, tags);
    let names = [label_all_by_type::NAME, label::NAME];
    let forge = world.builder(names).state(pool).open().await.unwrap();
    forge.start("p", label_all_by_type()).await.unwrap();
    world.settle("p").await;
    let branch = world.rows().record("p", "branch$b");
    assert_eq!(branch.state, 2, "the branch has failed");
    branch.error_message.unwrap()
}

#[scenario]
async fn a_key_that_the_database_puts_behind_itself_is_told_and_not_read_for_ever(world: &World) {
    let message = failure(world, &["'a'", "'b  '", "'c'"]).await;
    assert!(
        message.contains("key \"b\" of `tag` came back"),
        "{message}"
    );
}

#[backends]
async fn keys_that_display_alike_are_told(backend: Backend) {
    for tags in [["'a'", "'a '", "'c'"], ["'a'", "'b'", "'b '"]] {
        scenario(backend, async |world| {
            let message = failure(world, &tags).await;
            assert!(message.contains("two rows have the key"), "{message}");
        })
        .await;
    }
}

#[scenario]
async fn a_row_without_a_key_is_told(world: &World) {
    let message = failure(world, &["'a'", "NULL"]).await;
    assert!(message.contains("its primary key `tag`"), "{message}");
}
