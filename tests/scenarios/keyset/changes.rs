//! Rows that come and go while a keyset is dispatched.

use super::*;

/// Rows 10, 20, .. 60 in pages of two, held in the second page; what the test does then, and who has
/// a child in the end.
async fn dispatched_while(world: &World, change: impl Fn(&ShopPool)) -> Vec<String> {
    let pool = shop::open(world.dir());
    shop::insert(&pool, (10..=60).step_by(10));
    world.probe.set("hold at", 30);
    let forge = world
        .builder(NAMES)
        .state(pool.clone())
        .open()
        .await
        .unwrap();
    forge.start("p", bill_all(2)).await.unwrap();
    world.noted("held", 1).await;
    change(&pool);
    world.probe.set("go", 1);
    world.parked("p").await;
    keys(world, "p")
}

#[scenario]
async fn a_row_that_enters_above_the_cursor_has_a_child_and_one_below_is_missed(world: &World) {
    // The page of 30 and 40 was read before, so the cursor stands at 40.
    let dispatched = dispatched_while(world, |pool| shop::insert(pool, [5, 25, 35, 45, 70])).await;
    assert_eq!(dispatched, ["10", "20", "30", "40", "45", "50", "60", "70"]);
}

#[scenario]
async fn a_row_that_leaves_keeps_its_child_and_gets_none_if_it_had_none(world: &World) {
    let dispatched = dispatched_while(world, |pool| shop::remove(pool, &[10, 40, 50])).await;
    assert_eq!(dispatched, ["10", "20", "30", "40", "60"]);
}

#[scenario]
async fn the_row_at_the_cursor_may_leave(world: &World) {
    let dispatched = dispatched_while(world, |pool| shop::remove(pool, &[20, 30, 40])).await;
    assert_eq!(dispatched, ["10", "20", "30", "40", "50", "60"]);
}
