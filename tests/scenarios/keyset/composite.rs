//! Primary keys of several columns.

use chrono_forge::CompositeKey;

use super::*;

diesel::table! {
    lines (order_id, line_no) {
        order_id -> BigInt,
        line_no -> Integer,
        sku -> Text,
    }
}

diesel::table! {
    parts (maker, place, nth) {
        maker -> Text,
        place -> Text,
        nth -> SmallInt,
    }
}

#[workflow]
async fn reserve(sku: String) -> Result<String> {
    Ok(sku)
}

#[workflow]
async fn reserve_all(pool: State<ShopPool>, of: u64) -> Result<Vec<String>> {
    let reserved = branch!("b", automerge = true, {
        let key = (lines::order_id, lines::line_no);
        let rows = Keyset::composite(lines::table.filter(lines::sku.ne("none")), key);
        spawn_each!(
            "c",
            of = of,
            rows.select(lines::sku).pool(&pool),
            |sku: String| reserve(sku)
        )
    })
    .await?;
    Ok(reserved.collect().await?)
}

#[workflow]
async fn reserve_parts(pool: State<ShopPool>) -> Result<Vec<String>> {
    let reserved = branch!("b", automerge = true, {
        let key = (parts::maker, parts::place, parts::nth);
        let rows = Keyset::composite_snapshot(parts::table, key);
        let rows = rows
            .key::<CompositeKey<(String, String, i16)>>()
            .pool(&pool);
        spawn_each!("c", of = 1, rows, |(maker, _, _): (String, String, i16)| {
            reserve(maker)
        })
    })
    .await?;
    Ok(reserved.collect().await?)
}

/// Ten orders of three lines each, whose pages end in the midst of an order.
fn filled(world: &World) -> ShopPool {
    let pool = shop::open(world.dir());
    shop::edit(
        &pool,
        "CREATE TABLE lines (order_id INTEGER NOT NULL, line_no INTEGER NOT NULL, sku TEXT NOT NULL,
            PRIMARY KEY (order_id, line_no)) WITHOUT ROWID;
        WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29)
        INSERT INTO lines SELECT i / 3, i % 3, 'sku ' || i FROM n ORDER BY i % 7;
        CREATE TABLE parts (maker TEXT NOT NULL, place TEXT NOT NULL, nth INTEGER NOT NULL,
            PRIMARY KEY (maker, place, nth));
        INSERT INTO parts VALUES ('a,b', 'c', 1), ('a', 'b,c', 1), ('a', 'b,c', -1)",
    );
    pool
}

#[scenario]
async fn rows_with_a_key_of_two_columns_have_a_child_each_in_the_order_of_both(world: &World) {
    let pool = filled(world);
    for (key, of) in [("two", 2), ("four", 4), ("all", 100)] {
        let names = [reserve_all::NAME, reserve::NAME];
        let forge = world
            .builder(names)
            .state(pool.clone())
            .open()
            .await
            .unwrap();
        let run = forge.start(key, reserve_all(of)).await.unwrap();
        let skus: Vec<String> = (0..30).map(|n| format!("sku {n}")).collect();
        assert_eq!(run.result().await.unwrap(), skus);
        let expected: Vec<String> = (0..30).map(|n| format!("{},{}", n / 3, n % 3)).collect();
        assert_eq!(keys(world, key), expected);
        forge.shutdown().await;
    }
}

#[scenario]
async fn keys_of_three_columns_are_told_apart_whatever_is_in_them(world: &World) {
    let pool = filled(world);
    let names = [reserve_parts::NAME, reserve::NAME];
    let forge = world.builder(names).state(pool).open().await.unwrap();
    let run = forge.start("k", reserve_parts()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), ["a", "a", "a,b"]);
    assert_eq!(keys(world, "k"), [r"a,b\,c,-1", r"a,b\,c,1", r"a\,b,c,1"]);
    forge.shutdown().await;
}
