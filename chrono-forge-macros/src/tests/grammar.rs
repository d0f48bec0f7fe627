//! The grammar of the vocabulary.

use super::assert_body;
use super::assert_body_error;

#[test]
fn keys_may_be_left_out_where_a_call_has_a_name() {
    assert_body(
        "step!(charge(&n)).await?; step!(m.report(n)).await?; step!(a::b::<u8>(n)).await?;",
    );
    assert_body("wait_until!(paid(n)).await?; continue_if!(timeout = t, ok(n)).await?;");
    for body in ["{ Ok(1) }", "async { Ok(1) }", "make()()", "future"] {
        let text = format!("step!({body}).await?;");
        let at = if body.starts_with('{') { "{" } else { body };
        assert_body_error(&text, at, "only a call has a name");
    }
}

#[test]
fn keys_are_required_elsewhere() {
    assert_body_error(
        "wait!(hours(1)).await;",
        "hours(1)",
        "`wait!` needs a key first",
    );
    assert_body_error(
        "wait!(until = t).await;",
        "wait",
        "`wait!` needs a key first",
    );
    assert_body_error(
        "let b = branch!({ 1 }).await?;",
        "{ 1 }",
        "`branch!` needs a key first",
    );
    let spawn = "let b = branch!(\"b\", { spawn!(wf(1)) }).await?;";
    assert_body_error(spawn, "wf(1)", "`spawn!` needs a key first");
    let each = "let b = branch!(\"b\", { spawn_each!(all, |x| wf(x)) }).await?;";
    assert_body_error(each, "all", "`spawn_each!` needs a key first");
}

#[test]
fn bodies_are_required() {
    assert_body_error("step!().await?;", "step", "the body of `step!` is missing");
    assert_body_error(
        "step!(\"k\").await?;",
        "step",
        "the body of `step!` is missing",
    );
    assert_body_error(
        "step!(\"k\", retry = r).await?;",
        "step",
        "is missing; write it last",
    );
    assert_body_error(
        "step!(retry = r).await?;",
        "step",
        "the body of `step!` is missing",
    );
    assert_body_error(
        "wait!(\"k\").await;",
        "wait",
        "the body of `wait!` is missing",
    );
    assert_body_error(
        "let b = branch!(\"b\").await?;",
        "branch",
        "the body of `branch!`",
    );
    let each = "let b = branch!(\"b\", { spawn_each!(\"e\", all) }).await?;";
    assert_body_error(each, "spawn_each", "the body of `spawn_each!` is missing");
    assert_body_error("merge!().await?;", "merge", "say what to join");
}

#[test]
fn the_order_is_key_options_body() {
    assert_body_error(
        "step!(f(), retry = r).await?;",
        "retry",
        "options stand before the body",
    );
    assert_body_error(
        "step!(\"k\", f(), retry = r).await?;",
        "retry",
        "options stand before",
    );
    assert_body_error(
        "step!(retry = r, \"k\", f()).await?;",
        "\"k\"",
        "the key comes first",
    );
    assert_body_error(
        "wait!(until = t, \"k\").await;",
        "\"k\"",
        "the key comes first",
    );
    assert_body_error(
        "step!(\"k\", f(), g()).await?;",
        "g()",
        "nothing after its body",
    );
    assert_body_error("wait!(\"k\", a, until = b).await;", "a", "not both");
}

#[test]
fn options_are_known_and_given_once() {
    assert_body_error(
        "step!(\"k\", retrys = r, f()).await?;",
        "retrys",
        "did you mean `retry`?",
    );
    assert_body_error(
        "step!(\"k\", every = r, f()).await?;",
        "every",
        "takes `retry` and `timeout`",
    );
    assert_body_error("merge!(a, of = 3).await?;", "of", "`merge!` has no options");
    let twice = "step!(\"k\", retry = a, retry = b, f()).await?;";
    assert_body_error(twice, "retry", "given twice");
    assert_body_error(
        "step!(\"k\", retry = , f()).await?;",
        "retry",
        "needs a value",
    );
}

#[test]
fn comparisons_are_no_options() {
    assert_body("continue_if!(\"k\", a == b).await?;");
}

#[test]
fn one_comma_may_trail() {
    assert_body("step!(\"k\", f(),).await?; wait!(\"w\", hours(1),).await; merge!(a, b,).await?;");
    assert_body_error(
        "step!(\"k\",, f()).await?;",
        ",",
        "nothing before this comma",
    );
    assert_body_error(
        "step!(\"k\", f(),,).await?;",
        ",",
        "nothing before this comma",
    );
    assert_body_error("step!(\"k\" f()).await?;", "f", "expected `,`");
}

#[test]
fn unfinished_arguments_are_shown_at_their_end() {
    assert_body_error(
        "step!(\"k\", f() +).await?;",
        ")",
        "unexpected end of input",
    );
}

#[test]
fn bodies_have_their_form() {
    assert_body_error("step!(f().await).await?;", "await", "remove this `.await`");
    assert_body_error("step!(\"k\", || f()).await?;", "|| f()", "is not a closure");
    assert_body_error("let b = branch!(\"b\", f()).await?;", "f()", "is a block");
    let automerge = "branch!(\"b\", automerge = yes, { 1 }).await?;";
    assert_body_error(automerge, "yes", "`true` or `false`");
}

#[test]
fn spawn_each_takes_a_closure_written_in_place() {
    let each = |closure: &str, at: &str, message: &str| {
        let body =
            format!("let b = branch!(\"b\", {{ spawn_each!(\"e\", all, {closure}) }}).await?;");
        assert_body_error(&body, at, message);
    };
    each("wf", "wf", "a closure written in place");
    each("|a, b| wf(a)", "|a, b| wf(a)", "takes one argument");
    each(
        "move |a| wf(a)",
        "move |a| wf(a)",
        "without `async` and `move`",
    );
    each(
        "async |a| wf(a)",
        "async |a| wf(a)",
        "without `async` and `move`",
    );
    each(
        "|a| -> I { wf(a) }",
        "|a| -> I { wf(a) }",
        "leave out the return type",
    );
}

#[test]
fn reserved_names_are_refused() {
    for name in ["race", "receive", "now", "random", "uuid", "patched"] {
        assert_body_error(
            &format!("{name}!(1).await;"),
            name,
            "is reserved for a later version",
        );
    }
    assert_body_error("chrono_forge::now!();", "now", "is reserved");
    assert_body("let id = uuid::uuid!(\"67e55044-10b1-426f-9247-bb680e5fe0c8\");");
}

#[test]
fn other_items_and_other_macros_are_left_alone() {
    assert_body("fn inner() { step!(1, 2, 3, 4); race!(); }");
    assert_body("macro_rules! charge { ($e:expr) => { step!($e, $e, $e) } }");
    assert_body("custom!(a => b, step!(f()) -> [wait!(\"k\", hours(1))]);");
}

#[test]
fn paths_before_a_name_mean_nothing() {
    assert_body_error("cf::step!().await?;", "step", "is missing");
    assert_body_error("return ::a::b::step!().await;", "step", "is missing");
}
