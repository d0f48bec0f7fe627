//! The options of the attribute.

use super::assert_clean;
use super::assert_error;

#[track_caller]
fn refuse(options: &str, at: &str, message: &str) {
    assert_error(
        &format!("#[workflow({options})] async fn wf() {{}}"),
        at,
        message,
    );
}

#[test]
fn all_are_accepted_once_each() {
    assert_clean(
        "#[workflow(name = \"a\", queue = \"q\", priority = high, retry = policy(), version = 2, \
         type = Wf, crate = a::b,)] async fn wf() {}",
    );
}

#[test]
fn unknown_ones_are_refused_with_the_list() {
    refuse("names = \"x\"", "names", "did you mean `name`?");
    refuse(
        "colour = 3",
        "colour",
        "`name`, `queue`, `priority`, `retry`",
    );
    refuse("3", "3", "expected an option");
}

#[test]
fn one_bad_option_does_not_hide_another() {
    let found = super::errors("#[workflow(nam = \"x\", queue = 1)] async fn wf() {}");
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn duplicates_are_refused() {
    refuse("version = 1, version = 2", "version", "given twice");
}

#[test]
fn values_must_be_of_their_kind() {
    refuse("name = wf", "wf", "takes a string literal: `name = \"..\"`");
    refuse("name = \"\"", "\"\"", "may not be empty");
    refuse("queue = \"a\\0\"", "\"a\\0\"", "may not contain NUL");
    refuse("name = \"a\\0\"", "\"a\\0\"", "may not contain NUL");
    refuse("queue = 3", "3", "`queue = \"..\"`");
    refuse(
        "priority = \"high\"",
        "\"high\"",
        "`high`, `normal` and `low`",
    );
    refuse("priority = urgent", "urgent", "`high`, `normal` and `low`");
    refuse("version = \"2\"", "\"2\"", "`version = 2`");
    refuse("version = 4294967296", "4294967296", "fits in `u32`");
    refuse("type = \"Wf\"", "\"Wf\"", "`type = InvoiceRun`");
    refuse("crate = \"cf\"", "\"cf\"", "without quotes");
    refuse("queue", "queue", "`queue = ..`");
    refuse("part = true", "=", "`#[workflow(part)]`");
    refuse("version = 2 queue = \"a\"", "queue", "expected `,`");
}

#[test]
fn a_part_has_no_registration() {
    assert_error(
        "#[workflow(part, queue = \"q\")] async fn p(cx: &Context) {}",
        "queue",
        "a part is not registered",
    );
}

#[test]
fn only_functions_can_be_annotated() {
    assert_error("#[workflow] struct S;", "struct", "stands on an `async fn`");
    assert_error("#[workflow] async fn f();", ";", "stands on an `async fn`");
}
