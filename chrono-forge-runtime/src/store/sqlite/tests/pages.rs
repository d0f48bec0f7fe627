//! Pages of what is read whole.

use crate::record::RunId;
use crate::store::sqlite::results::completion_order;

#[test]
fn pages_of_completions_follow_each_other_until_all_are_found() {
    // 12,000 children, of whom the store gives as many as it is asked for.
    let asked = std::cell::RefCell::new(Vec::new());
    let read = |after: RunId, limit: u32| {
        asked.borrow_mut().push((after.0, limit));
        let to = (after.0 + i64::from(limit)).min(12_000);
        Ok((after.0 + 1..=to).map(|id| (-id, RunId(id))).collect())
    };
    let order = completion_order(20_000, read).unwrap();
    assert!(order.iter().map(|id| id.0).eq((1..=12_000).rev()));
    let pages = [(0, 5_000), (5_000, 5_000), (10_000, 5_000), (12_000, 5_000)];
    assert_eq!(asked.take(), pages);
    let order = completion_order(7_000, read).unwrap();
    assert_eq!((order.len(), asked.take().len()), (7_000, 2));
}
