//! Rules on what stands where in a body.

use super::assert_body;
use super::assert_body_error;
use super::assert_clean;
use super::assert_error;
use super::errors;
use super::split;
use crate::expand;

#[test]
fn a_key_is_used_once_on_a_path() {
    let twice = "is used twice on one path";
    assert_body_error(
        "step!(\"a\", f()).await?; step!(\"a\" , g()).await?;",
        "\"a\"",
        twice,
    );
    assert_body_error("step!(f(1)).await?; step!(f(2)).await?;", "f", "by default");
    assert_body_error(
        "step!(\"f\", g()).await?; step!(f(2)).await?;",
        "f",
        "`step!(\"f-2\", ..)`",
    );
    assert_body_error(
        "join!(step!(\"a\", f()), step!(\"a\", g()));",
        "\"a\"",
        twice,
    );
    let nested = "if n > 1 { step!(\"a\", f()).await?; } step!(\"a\", g()).await?;";
    assert_body_error(nested, "\"a\"", twice);
    let arms = "match n { 1 => step!(\"a\", f()).await?, _ => 0 }; step!(\"a\", g()).await?;";
    assert_body_error(arms, "\"a\"", twice);
    let in_branch =
        "step!(\"a\", f()).await?; let b = branch!(\"b\", { step!(\"a\", g()).await? }).await?;";
    assert_body_error(in_branch, "\"a\"", twice);
    let spawns = "let b = branch!(\"b\", { spawn!(\"s\", wf(1)); spawn_each!(\"s\", v, |x| wf(x)); }).await?;";
    assert_body_error(spawns, "\"s\"", twice);
}

#[test]
fn different_paths_and_kinds_do_not_meet() {
    assert_body("if n > 1 { step!(\"a\", f()).await?; } else { step!(\"a\", g()).await?; }");
    assert_body("match n { 1 => step!(\"a\", f()).await?, _ => step!(\"a\", g()).await? };");
    assert_body("step!(\"a\", f()).await?; wait!(\"a\", hours(1)).await;");
    assert_body("if n > 1 { step!(\"a\", f()).await?; return Ok(()); } step!(\"a\", g()).await?;");
    assert_body(
        "let Some(x) = y else { step!(\"a\", f()).await?; bail!(\"\") }; step!(\"a\", g()).await?;",
    );
    assert_body("step!(\"a-{n}\", f()).await?; step!(\"a-{n}\", g()).await?;");
    assert_body(
        "let a = branch!(\"a\", { spawn!(\"s\", wf(1)) }).await?; \
         let b = branch!(\"b\", { spawn!(\"s\", wf(1)) }).await?;",
    );
    assert_body(
        "select! { r = step!(\"a\", f()) => { step!(\"x\", f()).await?; } () = w => { step!(\"x\", f()).await?; } }",
    );
}

#[test]
fn a_path_that_leaves_does_not_go_on() {
    for leave in [
        "return Ok(())",
        "Err(e)?",
        "bail!(1)",
        "if c { return Ok(()); } else { panic!() }",
    ] {
        assert_body(&format!(
            "if n > 1 {{ step!(\"a\", f()).await?; {leave}; }} step!(\"a\", g()).await?;"
        ));
    }
}

#[test]
fn a_constant_key_does_not_stand_in_a_loop() {
    let every = "every round would have the key";
    assert_body_error("for i in v { step!(\"a\", f()).await?; }", "\"a\"", every);
    assert_body_error(
        "for i in v { step!(f()).await?; }",
        "f",
        "`step!(\"f-{i}\", ..)`",
    );
    assert_body_error("while c { wait!(\"w\", hours(1)).await; }", "\"w\"", every);
    assert_body_error("while step!(more()).await? {}", "more", every);
    assert_body_error(
        "loop { let b = branch!(\"b\", { 1 }).await?; }",
        "\"b\"",
        every,
    );
    assert_body_error("for i in v { join!(step!(\"a\", f())); }", "\"a\"", every);
    let spawn = "let b = branch!(\"b\", { for i in v { spawn!(\"s\", wf(i)); } }).await?;";
    assert_body_error(spawn, "\"s\"", every);
    let item = "let b = branch!(\"b\", { spawn_each!(\"e\", v, |x| { step!(\"a\", f()).await?; wf(x) }) }).await?;";
    assert_body_error(item, "\"a\"", every);
}

#[test]
fn a_key_with_the_loop_variable_does() {
    assert_body(
        "for i in step!(load()).await? { step!(\"a-{i}\", f()).await?; step!(i, g()).await?; }",
    );
    assert_body("for i in v { let b = branch!(\"b-{i}\", { spawn!(\"s\", wf(i)) }).await?; }");
}

#[test]
fn keys_have_no_separators() {
    assert_body_error(
        "step!(\"a$b\", f()).await?;",
        "\"a$b\"",
        "may not contain `$`",
    );
    assert_body_error(
        "let b = branch!(\"a,b\", { 1 }).await?;",
        "\"a,b\"",
        "may not contain `,`",
    );
    assert_body("step!(\"a,b\", f()).await?;");
}

#[test]
fn keys_say_something() {
    let places = [
        ("step!(KEY, f()).await?;", "`step!(\"charge\""),
        (
            "for i in v { step!(KEY, f()).await?; }",
            "`step!(\"charge\"",
        ),
        ("wait!(KEY, hours(1)).await;", "`wait!(\"settlement\""),
        ("wait!(KEY, until = t).await;", "`wait!(\"settlement\""),
        ("wait_until!(KEY, f()).await?;", "`wait_until!(\"paid\""),
        (
            "continue_if!(KEY, f()).await?;",
            "`continue_if!(\"approved\"",
        ),
        (
            "repeat!(KEY, every = days(1), until = f(), |_| g()).await?;",
            "`repeat!(\"reminder\"",
        ),
        (
            "let b = branch!(KEY, { 1 }).await?;",
            "`branch!(\"invoices\"",
        ),
        ("branch!(KEY, { 1 }).await?;", "`branch!(\"invoices\""),
        (
            "let b = branch!(\"b\", { spawn!(KEY, wf(1)); }).await?;",
            "`spawn!(\"invoice\"",
        ),
        (
            "let b = branch!(\"b\", { spawn_each!(KEY, v, |x| wf(x)); }).await?;",
            "`spawn_each!(\"customer\"",
        ),
        ("merge!(a, KEY).await?;", "`merge!(invoices)`"),
    ];
    for (place, example) in places {
        for (key, wrong) in [
            ("\"\"", "may not be empty"),
            ("r#\"\"#", "may not be empty"),
            ("\" \"", "may not be blank"),
            ("\"\\t\\u{a0}\\u{3000}\"", "may not be blank"),
        ] {
            let body = place.replace("KEY", key);
            assert_body_error(&body, key, wrong);
            assert_body_error(&body, key, example);
        }
    }
    let nul = "\"a\\0b\"";
    assert_body_error(&format!("step!({nul}, f()).await?;"), nul, "contain NUL");
    let captures = "\"{n}\\0\"";
    assert_body_error(
        &format!("step!({captures}, f()).await?;"),
        captures,
        "contain NUL",
    );
    assert_body(
        "step!(\" a \", f()).await?; step!(\"{n}\", f()).await?; step!(\"{{\", f()).await?;",
    );
    assert_body("step!(\"\\u{200b}\", f()).await?;");
    // Only one error each, even where both are on one path.
    let twice = "step!(\"\", f()).await?; step!(\"\", f()).await?;";
    let source = format!("#[workflow] async fn wf(n: u32) -> Result<()> {{ {twice} }}");
    assert_eq!(errors(&source).len(), 2);
}

#[test]
fn keys_are_as_long_as_the_runtime_takes_them() {
    let branch = |spawn: &str| format!("let b = branch!(\"b\", {{ {spawn}; }}).await?;");
    for (place, bytes_max) in [
        ("step!(KEY, f()).await?;".to_owned(), 65_536),
        ("wait!(KEY, hours(1)).await;".to_owned(), 65_536),
        ("let b = branch!(KEY, { 1 }).await?;".to_owned(), 65_536),
        (branch("spawn!(KEY, wf(1))"), 8_192),
        (branch("spawn_each!(KEY, v, |x| wf(x))"), 8_192),
    ] {
        // Of a format string what stands there counts, with its braces as they will be.
        let found = |bytes: usize| {
            let key = format!("\"{}{{n}}{{{{\"", "x".repeat(bytes - 1));
            let body = place.replace("KEY", &key);
            errors(&format!(
                "#[workflow] async fn wf(n: u32) -> Result<()> {{ {body} }}"
            ))
        };
        assert_eq!(found(bytes_max).len(), 0, "{place}");
        let told = found(bytes_max + 1);
        let limit = format!("at most {bytes_max} bytes here");
        let is_told = told.len() == 1 && told[0].message.contains(&limit);
        assert!(is_told, "{place}: {} errors", told.len());
    }
}

#[test]
fn captures_have_names() {
    for key in ["\"a-{}\"", "\"a-{0}\"", "\"a-{:?}\""] {
        assert_body_error(
            &format!("step!({key}, f()).await?;"),
            key,
            "captures variables by name",
        );
    }
    assert_body("step!(\"{{a}}-{n:03}\", f()).await?;");
}

#[test]
fn a_step_body_holds_nothing_durable() {
    let inside = "does not run on a replay, so nothing in it can be durable";
    assert_body_error(
        "step!(\"a\", { wait!(\"w\", hours(1)).await; Ok(1) }).await?;",
        "wait",
        inside,
    );
    assert_body_error(
        "step!(\"a\", f(step!(\"b\", g()).await?)).await?;",
        "step",
        inside,
    );
    assert_body_error(
        "continue_if!(\"a\", { step!(\"b\", g()).await }).await?;",
        "step",
        inside,
    );
    assert_body_error(
        "step!(\"a\", async { join!(step!(\"b\", g())) }).await?;",
        "step",
        inside,
    );
    assert_body_error(
        "step!(\"a\", { spawn!(\"s\", wf()); Ok(1) }).await?;",
        "spawn",
        inside,
    );
}

#[test]
fn a_branch_block_does_not_wait() {
    for operation in [
        "wait!(\"w\", hours(1)).await",
        "wait_until!(\"w\", f()).await?",
        "continue_if!(\"w\", f()).await?",
        "merge!(a).await?",
        "branch!(\"w\", { 1 }).await?",
    ] {
        let name = operation.split('!').next().expect("a name");
        let body = format!("let b = branch!(\"b\", {{ {operation}; }}).await?;");
        assert_body_error(&body, name, "inside a branch block");
    }
    assert_body("let b = branch!(\"b\", { step!(\"s\", f()).await? }).await?;");
}

#[test]
fn spawns_belong_in_branch_blocks() {
    let spawn = "spawn!(\"s\", wf(1));";
    assert_body_error(spawn, "spawn", "belongs in a branch block");
    assert_body_error(
        "spawn_each!(\"s\", v, |x| wf(x));",
        "spawn_each",
        "belongs in a branch",
    );
    assert_clean(&format!(
        "#[workflow(part)] async fn p(cx: &Context) {{ {spawn} }}"
    ));
    let again =
        "let b = branch!(\"b\", { spawn_each!(\"e\", v, |x| spawn!(\"s-{x}\", wf(x))) }).await?;";
    assert_body_error(again, "spawn", "returns the invocation to start");
}

#[test]
fn spawns_are_complete_as_they_are() {
    let suffix = |written: &str, at: &str| {
        let body = format!("let b = branch!(\"b\", {{ spawn!(\"s\", wf(1)){written} }}).await?;");
        assert_body_error(&body, at, &format!("remove this `{written}`"));
    };
    suffix(".await", "await");
    suffix("?", "?");
}

#[test]
fn what_does_not_run_on_a_replay_changes_nothing() {
    let lost = "the change would be lost";
    for change in [
        "x = 1",
        "x += 1",
        "x.y = 1",
        "x[0] = 1",
        "*x = 1",
        "f(&mut x)",
        "(x, _) = p",
    ] {
        let body = format!("let mut x = 0; step!(\"a\", {{ {change}; Ok(()) }}).await?;");
        assert_body_error(&body, "x", lost);
        let body = format!("let mut x = 0; let b = branch!(\"b\", {{ {change}; }}).await?;");
        assert_body_error(&body, "x", lost);
    }
    let each = "let b = branch!(\"b\", { let mut x = 0; spawn_each!(\"e\", v, |i| { x += 1; wf(i) }) }).await?;";
    assert_body_error(each, "x", "compute it from the item");
    assert_body_error(
        "step!(\"a\", { info!(x = 1); y = 2; Ok(1) }).await?;",
        "y",
        lost,
    );
    assert_body("step!(\"a\", { let mut x = 0; x += 1; g(&mut x); COUNT = 1; Ok(x) }).await?;");
    assert_body("let mut x = 0; x += 1; let c = || { x = 2; };");
}

#[test]
fn a_branch_block_ends_in_its_value() {
    let branch = |inside: &str| format!("let b = branch!(\"b\", {{ {inside} }}).await?;");
    assert_body_error(
        &branch("if c { return 1; } 2"),
        "return",
        "`return` inside a branch block",
    );
    assert_body_error(
        &format!(
            "loop {{ {} }}",
            branch("break;").replace("\"b\"", "\"{n}\"")
        ),
        "break",
        "`break` out of",
    );
    let labelled = "'a: loop { let b = branch!(\"{n}\", { loop { continue 'a; } }).await?; }";
    assert_body_error(labelled, "continue", "`continue` out of a branch block");
    assert_body(&branch("for x in y { if x { continue; } break; }"));
    assert_body(&branch("'a: loop { loop { break 'a; } }"));
    assert_body(&branch(
        "let f = |x| { return x; }; async { return 1; }.await",
    ));
}

#[test]
fn a_closure_of_spawn_each_ends_in_its_invocation() {
    let each = |inside: &str| {
        format!("let b = branch!(\"b\", {{ spawn_each!(\"e\", v, |x| {{ {inside} }}) }}).await?;")
    };
    let early = each("if x > 1 { return wf(1); } wf(x)");
    assert_body_error(&early, "return", "end the closure in the invocation");
    assert_body(&each(
        "let y = loop { break x; }; let f = || { return 1; }; wf(f())",
    ));
}

#[test]
fn a_discarded_branch_is_merged_by_name() {
    let never = "is never joined";
    assert_body_error("branch!(\"b\", { 1 }).await?;", "\"b\"", never);
    assert_body_error("let _ = branch!(\"b\", { 1 }).await;", "\"b\"", never);
    assert_body_error(
        "branch!(\"b\", { 1 }).await.context(\"c\")?;",
        "\"b\"",
        never,
    );
    assert_body("branch!(\"b\", { 1 }).await?; merge!(\"b\").await?;");
    assert_body("branch!(\"b\", automerge = true, { 1 }).await?;");
    assert_body("branch!(\"b-{n}\", { 1 }).await?;");
    assert_body("branch!(\"b\", { 1 }).await?; finish(&cx).await?;");
    assert_body_error(
        "branch!(\"b\", { 1 }).await?; cx.set(\"a\", 1)?;",
        "\"b\"",
        never,
    );
    assert_clean("#[workflow(part)] async fn p(cx: &Context) { branch!(\"b\", { 1 }).await?; }");
}

#[test]
fn a_merged_name_was_opened() {
    assert_body_error(
        "merge!(\"b\").await?;",
        "\"b\"",
        "no branch of the name \"b\"",
    );
    assert_body_error(
        "let a = branch!(\"a\", { 1 }).await?; merge!(a, \"b\").await?;",
        "\"b\"",
        "no branch",
    );
    assert_body("let a = branch!(\"a-{n}\", { 1 }).await?; merge!(\"b\").await?;");
    assert_body("open(cx.clone()).await?; merge!(\"b\").await?;");
    assert_clean("#[workflow(part)] async fn p(cx: &Context) { merge!(\"b\").await?; }");
}

#[test]
fn one_mistake_does_not_hide_another() {
    let source = "#[workflow] async fn wf(x: u32) -> Result<()> {
            step!(\"a$\", retires = 1, f()).await?;
            for i in v { step!(\"b$\", f()).await?; }
            step!(\"c\", { x = 1; wait!(\"w\", hours(1)).await; Ok(()) }).await?;
        }";
    let found = errors(source);
    assert_eq!(found.len(), 5, "{found:#?}");

    // An operation with an error is not generated, and so the errors inside it need another place.
    let (options, item) = split(source);
    let output = expand::workflow(options, item).to_string();
    for one in found {
        let message = format!("{:?}", one.message);
        assert!(output.contains(&message), "{message} is not emitted");
    }
}

#[test]
fn a_definition_of_another_crate_reports_the_same() {
    assert_error(
        "#[workflow(crate = cf)] async fn wf() { cf::step!(\"a$\", f()).await; }",
        "\"a$\"",
        "may not contain",
    );
}
