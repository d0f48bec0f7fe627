//! Rules on the outside of a definition.

use super::assert_clean;
use super::assert_error;
use super::errors;

#[track_caller]
fn refuse(function: &str, at: &str, message: &str) {
    assert_error(&format!("#[workflow] {function} {{}}"), at, message);
}

#[test]
fn it_is_a_plain_async_function() {
    refuse("fn wf()", "fn", "write `async fn`");
    refuse("const async fn wf()", "const", "cannot be `const`");
    refuse("async unsafe fn wf()", "unsafe", "cannot be `unsafe`");
    refuse(
        "async extern \"C\" fn wf()",
        "extern \"C\"",
        "cannot be `extern`",
    );
    refuse("async fn wf(a: u8, ...)", "...", "cannot be variadic");
    refuse(
        "async fn wf(&self)",
        "&self",
        "a workflow is a free function",
    );
}

#[test]
fn it_is_not_generic() {
    refuse("async fn wf<T>(t: T)", "T", "cannot be generic");
    refuse(
        "async fn wf<const N: usize>()",
        "const N: usize",
        "cannot be generic",
    );
    refuse("async fn wf<T, U>()", "T, U", "cannot be generic");
    refuse(
        "async fn wf() where u8: Copy",
        "where u8: Copy",
        "cannot be generic",
    );
}

#[test]
fn lifetimes_are_refused_where_declared_and_where_used() {
    assert_eq!(
        errors("#[workflow] async fn wf<'a>(x: &'a str) {}").len(),
        2
    );
}

#[test]
fn arguments_have_one_name() {
    refuse("async fn wf((a, b): (u8, u8))", "(a, b)", "one identifier");
    refuse("async fn wf(_: u8)", "_", "one identifier");
    refuse("async fn wf(ref a: u8)", "ref a", "one identifier");
    refuse("async fn wf(P { x }: P)", "P { x }", "one identifier");
    assert_clean("#[workflow] async fn wf(mut a: u8, _b: u8) {}");
}

#[test]
fn arguments_are_owned() {
    refuse("async fn wf(a: &str)", "&str", "take `String`");
    refuse("async fn wf(a: &[Order])", "&[Order]", "take `Vec<Order>`");
    refuse("async fn wf(a: &mut Order)", "&mut Order", "take `Order`");
    refuse(
        "async fn wf(cx: &Context)",
        "&Context",
        "take `cx: Context`",
    );
    refuse("async fn wf(a: Option<&str>)", "&str", "cannot borrow");
    refuse("async fn wf(a: Cow<'_, str>)", "'_", "cannot borrow");
    refuse(
        "async fn wf(a: impl Display)",
        "impl Display",
        "one concrete type",
    );
    refuse(
        "async fn wf(a: Vec<impl Copy>)",
        "impl Copy",
        "one concrete type",
    );
    assert_clean("#[workflow] async fn wf(a: Cow<'static, str>, b: Vec<Option<u8>>) {}");
}

#[test]
fn injected_parameters_are_not_stored() {
    refuse("async fn wf(a: Context, b: Context)", "b", "one `Context`");
    refuse("async fn wf(a: State)", "State", "`State<Mailer>`");
    refuse(
        "async fn wf(#[serde(default)] s: State<M>)",
        "#[serde(default)]",
        "not stored",
    );
    assert_clean("#[workflow] async fn wf(a: x::Context, b: State<A>, c: State<B>) {}");
}

#[test]
fn it_returns_a_result_or_nothing() {
    refuse("async fn wf() -> u32", "u32", "write `-> Result<u32>`");
    refuse(
        "async fn wf() -> Vec<u8>",
        "Vec<u8>",
        "`-> Result<Vec<u8>>`",
    );
    refuse(
        "async fn wf() -> (u8, u8)",
        "(u8, u8)",
        "`-> Result<(u8, u8)>`",
    );
    refuse(
        "async fn wf() -> std::string::String",
        "std::string::String",
        "-> Result",
    );
    refuse(
        "async fn wf() -> Result<u8, String>",
        "String",
        "`anyhow!(\"..\")`",
    );
    refuse(
        "async fn wf() -> Result<u8, &'static str>",
        "&'static str",
        "thiserror",
    );
    refuse(
        "async fn wf() -> Result<u8, Box<dyn Error + Send>>",
        "Box<dyn Error + Send>",
        "does not convert",
    );
    refuse(
        "async fn wf() -> impl Future",
        "impl Future",
        "one concrete type",
    );
    for fine in [
        "",
        "-> ()",
        "-> Result<u8>",
        "-> io::Result<u8>",
        "-> Outcome",
        "-> Result<u8, E>",
    ] {
        assert_clean(&format!("#[workflow] async fn wf() {fine} {{}}"));
    }
}

#[test]
fn a_part_begins_with_the_context() {
    let refuse = |function: &str, at: &str, message: &str| {
        assert_error(&format!("#[workflow(part)] {function} {{}}"), at, message);
    };
    refuse("async fn p()", "p", "`cx: &Context`");
    refuse("async fn p(cx: Context)", "cx: Context", "`cx: &Context`");
    refuse(
        "async fn p(cx: &mut Context)",
        "cx: &mut Context",
        "`cx: &Context`",
    );
    refuse("async fn p(n: u8, cx: &Context)", "n: u8", "`cx: &Context`");
    refuse("async fn p(&self)", "p", "`cx: &Context`");
    refuse("fn p(cx: &Context)", "fn", "write `async fn`");
    assert_clean("#[workflow(part)] async fn p<'a, T: X>(&self, c: &'a Context, t: &T) -> u8 {}");
}

#[test]
fn all_errors_are_reported_at_once() {
    let found = errors("#[workflow(quue = 1)] fn wf<T>(&self, (a, b): (u8, u8), c: &str) -> u8 {}");
    assert_eq!(found.len(), 7, "{found:#?}");
}
