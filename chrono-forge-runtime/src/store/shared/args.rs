//! Whether a run that exists has the arguments that a start was given.

use crate::store::{Start, Started};

/// Notes of the start at this place that the run which it found has this other text as arguments.
pub(in crate::store) fn note(
    starts: &[Start],
    answers: &mut [Started],
    (nth, text): (i64, String),
) {
    let nth = usize::try_from(nth).unwrap_or(usize::MAX);
    let start = starts.get(nth);
    let is_same = start.is_some_and(|start| are_same(&start.args, &text));
    if let Some(Started::Existing { has_same_args, .. }) = answers.get_mut(nth) {
        *has_same_args = is_same;
    }
}

/// As values: the entries of a map come in any order. What does not read as a value is not the same as anything.
fn are_same(one: &str, other: &str) -> bool {
    let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    value(one).is_some_and(|one| Some(one) == value(other))
}

#[cfg(test)]
mod tests {
    use super::are_same;

    #[test]
    fn arguments_are_compared_as_values() {
        assert!(are_same(
            r#"[{"a":1,"b":[2]}]"#,
            r#"[ {"b": [2], "a": 1} ]"#
        ));
        assert!(!are_same("[1,2]", "[2,1]"));
        assert!(!are_same("torn", "torn"));
    }
}
