//! `repeat!`: its grammar, and the rules on when it is due.

use super::assert_body;
use super::assert_body_error;
use super::errors;

/// A `repeat!` with these options.
fn with(options: &str) -> String {
    format!("repeat!(\"k\", until = done(n), {options}, |t| f(t)).await?;")
}

#[track_caller]
fn assert_options(options: &str) {
    assert_body(&with(options));
}

#[track_caller]
fn refuse(options: &str, at: &str, message: &str) {
    assert_body_error(&with(options), at, message);
}

/// A `repeat!` with this closure.
#[track_caller]
fn refuse_closure(closure: &str, at: &str, message: &str) {
    let body = format!("repeat!(\"k\", every = hours(1), until = done(n), {closure}).await?;");
    assert_body_error(&body, at, message);
}

#[test]
fn bodies_and_conditions_have_the_forms_of_a_step() {
    for closure in [
        "|t| f(&n, t)",
        "|_| m.remind(n)",
        "|t: Timestamp| f(t)",
        "|Moment { second, .. }| f(second)",
        "|(t)| async { f(t).await }",
        "|t| async move { f(t).await }",
        "|t| { f(t).await?; if n > 1 { return Ok(()); } Ok(()) }",
        "|t| if n > 1 { f(t) } else { g(t) }",
    ] {
        assert_body(&format!(
            "repeat!(\"k\", every = hours(1), until = done(n), {closure}).await?;"
        ));
    }
    for until in [
        "done(&n)",
        "order.done()",
        "{ Ok(cx.get::<bool>(\"stop\")?.unwrap_or(false)) }",
        "async { done(n).await }",
        "async move { done(n).await }",
    ] {
        assert_body(&format!(
            "repeat!(\"k\", until = {until}, every = hours(1), |t| f(t)).await?;"
        ));
    }
}

#[test]
fn the_key_may_be_that_of_the_called_function() {
    assert_body("repeat!(every = hours(1), until = done(n), |t| remind(n, t)).await?;");
    let twice = "step!(remind(n)).await?; wait!(\"remind\", hours(1)).await;";
    assert_body(&format!(
        "{twice} repeat!(every = hours(1), until = done(n), |t| remind(t)).await?;"
    ));
    let again = "repeat!(every = hours(1), until = done(n), |t| m.remind(t)).await?; \
                 repeat!(\"remind\" , every = hours(1), until = done(n), |t| f(t)).await?;";
    assert_body_error(
        again,
        "\"remind\"",
        "an earlier `repeat!` has it by default",
    );
    assert_body_error(
        "repeat!(every = hours(1), until = done(n), |t| { Ok(()) }).await?;",
        "{",
        "only a call has a name",
    );
    assert_body_error(
        "repeat!(every = hours(1), until = done(n), |t| async { Ok(()) }).await?;",
        "async { Ok(()) }",
        "`repeat!(\"key\", ..)`",
    );
}

#[test]
fn braces_of_the_formatter_change_nothing() {
    let again = |body: &str| {
        let first = format!("repeat!(every = hours(1), until = done(n), |t| {body}).await?;");
        format!("{first} repeat!(\"remind\" , every = hours(1), until = done(n), |t| f(t)).await?;")
    };
    for body in ["{ remind(t) }", "{ m.remind(t) }"] {
        assert_body_error(&again(body), "\"remind\"", "by default, after the function");
    }
    for body in [
        "{ Ok(()) }",
        "{ Err(remind) }",
        "{ remind(t); }",
        "{ remind(t).await }",
    ] {
        let text = format!("repeat!(every = hours(1), until = done(n), |t| {body}).await?;");
        assert_body_error(&text, "{", "only a call has a name");
    }
}

#[test]
fn the_closure_is_written_in_place() {
    refuse_closure("f", "f", "is a closure written in place");
    refuse_closure("f(n)", "f(n)", "is a closure written in place");
    refuse_closure("{ Ok(()) }", "{ Ok(()) }", "is a closure written in place");
    refuse_closure("|| f(n)", "|| f(n)", "takes one argument, the instant");
    refuse_closure(
        "|t, n| f(n)",
        "|t, n| f(n)",
        "takes one argument, the instant",
    );
    refuse_closure(
        "move |t| f(t)",
        "move |t| f(t)",
        "without `async` and `move`",
    );
    refuse_closure(
        "async |t| f(t)",
        "async |t| f(t)",
        "without `async` and `move`",
    );
    refuse_closure(
        "|t| -> Result<()> { Ok(()) }",
        "|t| -> Result<()> { Ok(()) }",
        "leave out the return type",
    );
    refuse_closure(
        "|t| f(t).await",
        "await",
        "`repeat!` awaits its body itself",
    );
    refuse_closure("|t| || f(t)", "|| f(t)", "is not a closure");
    let missing = "repeat!(\"k\", every = hours(1), until = done(n)).await?;";
    assert_body_error(missing, "repeat", "the body of `repeat!` is missing");
    assert_body_error("repeat!().await?;", "repeat", "the body of `repeat!`");
}

#[test]
fn the_condition_is_required_and_has_its_form() {
    let until = |until: &str, at: &str, message: &str| {
        let body = format!("repeat!(\"k\", every = hours(1), {until} |t| f(t)).await?;");
        assert_body_error(&body, at, message);
    };
    until("", "repeat", "needs the condition that ends it");
    until("until = done(n).await,", "await", "awaits `until` itself");
    until(
        "until = || done(n),",
        "|| done(n)",
        "`until` is not a closure",
    );
    until("until = a(n), until = b(n),", "until", "given twice");
    until("untill = a(n),", "untill", "did you mean `until`?");
}

#[test]
fn a_missing_condition_does_not_hide_a_bad_closure() {
    let source = "#[workflow] async fn wf() { repeat!(\"k\", every = hours(1), move |t| f(t)); }";
    assert_eq!(errors(source).len(), 2);
}

#[test]
fn only_the_key_and_the_closure_stand_without_a_name() {
    assert_body_error(
        "repeat!(\"k\", days(3), until = done(n), |t| f(t)).await?;",
        "days(3)",
        "say what this is",
    );
    assert_body_error(
        "repeat!(every = days(3), \"k\", until = done(n), |t| f(t)).await?;",
        "\"k\"",
        "the key comes first",
    );
    assert_body_error(
        "repeat!(\"k\", every = days(3), until = done(n), |t| f(t), timeout = hours(1)).await?;",
        "timeout",
        "options stand before the body",
    );
    assert_body_error(
        "repeat!(\"k\", every = days(3), until = done(n), |t| f(t), n).await?;",
        "n",
        "takes nothing after its body",
    );
    refuse("every = hours(1), start = n", "start", "`start_at`");
    refuse(
        "every = hours(1), Zone = \"UTC\"",
        "Zone",
        "did you mean `zone`?",
    );
}

#[test]
fn a_schedule_is_an_interval_or_a_pattern() {
    assert_options("every = hours(1)");
    assert_options("cron = \"0 6 * * *\"");
    assert_options("every = interval, start_at = at, timeout = hours(2), retry = policy");
    let neither = "repeat!(\"k\", until = done(n), |t| f(t)).await?;";
    assert_body_error(neither, "repeat", "needs to know how often");
    refuse("every = hours(1), cron = p", "cron", "keep one");
    refuse("cron = p, every = hours(1)", "every", "keep one");
}

#[test]
fn an_interval_has_a_length() {
    for every in [
        "secs(0)",
        "minutes(0)",
        "hours(0)",
        "days(0)",
        "months(0)",
        "calendar_days(0)",
        "calendar_days(-1)",
        "chrono_forge::secs(0_u64)",
        "(secs(0x0))",
        "Duration::ZERO",
        "std::time::Duration::ZERO",
        "Duration::from_secs(0)",
        "Duration::from_millis(0)",
        "Duration::from_micros(999)",
        "Duration::from_nanos(999_999)",
        "Duration::from_secs_f64(0.0)",
        "Duration::new(0, 0)",
        "Duration::new(0, 999_999)",
    ] {
        refuse(&format!("every = {every}"), every, "at least a millisecond");
    }
    for every in [
        "secs(1)",
        "secs(n)",
        "secs()",
        "Duration::from_micros(1_000)",
        "Duration::from_secs_f64(0.001)",
        "Duration::new(0, 1_000_000)",
        "Duration::MAX",
        "secs(340282366920938463463374607431768211455)",
        "months(1)",
        "Interval::ZERO",
        "new(0, 0)",
        "mine(0)",
    ] {
        assert_options(&format!("every = {every}"));
    }
}

#[test]
fn a_pattern_parses_and_matches_some_day() {
    for pattern in [
        "* * * * *",
        "0 6 * * MON-FRI",
        "*/30 * * * * *",
        "0 0 29 2 *",
        "0 0 31 * *",
        "0 0 L * *",
        "0 0 29 2 +MON",
        "0 0 0 1 1 * 2096",
        "0 0 31 2 MON",
        "@daily",
    ] {
        assert_options(&format!("cron = \"{pattern}\""));
    }
    assert_options("cron = pattern");
    for pattern in ["", "often", "61 * * * *", "* * * *", "0 24 * * *", "@often"] {
        let literal = format!("\"{pattern}\"");
        refuse(
            &format!("cron = {literal}"),
            &literal,
            "is not a cron pattern (",
        );
    }
    for pattern in [
        "0 0 31 2 *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 2 +MON",
        "0 0 0 29 2 * 2097,2098,2100",
    ] {
        let literal = format!("\"{pattern}\"");
        refuse(
            &format!("cron = {literal}"),
            &literal,
            "no day ever matches",
        );
    }
}

#[test]
fn the_calendar_is_the_one_of_today() {
    // The 1st of January 2027 is a Friday, the 29th of February 2096 a Wednesday.
    assert_options("cron = \"0 0 0 1 1 +FRI 2027\"");
    assert_options("cron = \"0 0 0 29 2 +WED 2096\"");
    let thursday = "cron = \"0 0 0 1 1 +THU 2027\"";
    refuse(thursday, "\"0 0 0 1 1 +THU 2027\"", "no day ever matches");
}

#[test]
fn a_zone_has_a_name_of_the_database() {
    for zone in ["UTC", "Europe/Berlin", "america/new_york", "Etc/GMT+2"] {
        assert_options(&format!("cron = p, zone = \"{zone}\""));
    }
    assert_options("cron = p, zone = zone_of(n)");
    let unknown = |zone: &str, hint: &str| {
        let literal = format!("\"{zone}\"");
        refuse(&format!("cron = p, zone = {literal}"), &literal, hint);
    };
    unknown("Europe/Berlyn", "did you mean `Europe/Berlin`?");
    unknown("europe/berln", "did you mean `Europe/Berlin`?");
    unknown("Berlin", "did you mean `Europe/Berlin`?");
    unknown("new york", "did you mean `America/New_York`?");
    unknown("+02:00", "no time zone \"+02:00\"; zones have the names");
    unknown("", "no time zone \"\"; zones");
}

#[test]
fn a_duration_has_no_zone() {
    for every in [
        "days(1)",
        "hours(n)",
        "minutes(5)",
        "Duration::from_secs(9)",
        "Duration::new(1, 0)",
    ] {
        let options = format!("every = {every}, zone = \"UTC\"");
        refuse(&options, "zone", "every = calendar_days(1)");
    }
    for every in ["calendar_days(1)", "months(1)", "interval", "mine::new(1)"] {
        assert_options(&format!("zone = \"UTC\", every = {every}"));
    }
}

#[test]
fn on_error_is_a_word_or_an_expression() {
    for value in [
        "Continue",
        "Fail",
        "OnError::Fail",
        "cf::OnError::Continue",
        "chosen",
        "MODE",
        "f(n)",
    ] {
        assert_options(&format!("every = hours(1), on_error = {value}"));
    }
    let unknown = |value: &str, hint: &str| {
        refuse(
            &format!("every = hours(1), on_error = {value}"),
            value,
            hint,
        );
    };
    unknown("Contine", "did you mean `Continue`?");
    unknown("continue", "did you mean `Continue`?");
    unknown("\"fail\"", "did you mean `Fail`?");
    unknown("Stop", "one of the words `Continue` and `Fail`: ");
    unknown("false", "one of the words `Continue` and `Fail`: ");
}

#[test]
fn a_list_of_policies_is_not_empty() {
    refuse("every = hours(1), retry = []", "[]", "covers no error");
    assert_options("every = hours(1), retry = [policy]");
    assert_body_error(
        "step!(\"k\", retry = [], f()).await?;",
        "[]",
        "covers no error",
    );
}

#[test]
fn neither_a_tick_nor_the_condition_is_durable() {
    let durable = "nothing in it can be durable. A tick is recorded as one";
    let tick = "repeat!(\"k\", every = hours(1), until = done(n), |t| { step!(\"a\", f()).await?; Ok(()) }).await?;";
    assert_body_error(tick, "step", durable);
    let until = "repeat!(\"k\", every = hours(1), until = step!(\"a\", f()), |t| f(t)).await?;";
    assert_body_error(until, "step", "in `until` of `repeat!`");
    let until = "repeat!(\"k\", every = hours(1), until = { wait!(\"a\", hours(1)).await; Ok(true) }, |t| f(t)).await?;";
    assert_body_error(until, "wait", "is evaluated before every tick");
    let nested = "repeat!(\"k\", every = hours(1), until = done(n), |t| repeat!(\"a\", every = hours(1), until = done(n), |t| f(t))).await?;";
    assert_body_error(nested, "repeat", durable);
    let option =
        "repeat!(\"k\", every = step!(\"a\", f()).await?, until = done(n), |t| f(t)).await?;";
    assert_body(option);
}

#[test]
fn it_stands_where_a_wait_may() {
    let repeat = "repeat!(\"r\", every = hours(1), until = done(n), |t| f(t))";
    assert_body_error(
        &format!("let b = branch!(\"b\", {{ {repeat}.await?; }}).await?;"),
        "repeat",
        "inside a branch block",
    );
    assert_body_error(
        &format!("step!(\"a\", {{ {repeat}.await?; Ok(1) }}).await?;"),
        "repeat",
        "does not run on a replay",
    );
    assert_body_error(
        &format!("for i in v {{ {repeat}.await?; }}"),
        "\"r\"",
        "every round would have the key",
    );
    assert_body_error(
        &format!(
            "{repeat}.await?; {}.await?;",
            repeat.replace("hours", "days")
        ),
        "\"r\"",
        "is used twice on one path",
    );
    assert_body_error(
        &format!("{}.await?;", repeat.replace("\"r\"", "\"r$\"")),
        "\"r$\"",
        "may not contain `$`",
    );
    assert_body(&format!("select! {{ r = {repeat} => r?, () = w => {{}} }}"));
}

#[test]
fn a_tick_changes_nothing_outside() {
    let repeat = |until: &str, closure: &str| {
        format!(
            "let mut x = 0; repeat!(\"k\", every = hours(1), until = {until}, {closure}).await?;"
        )
    };
    let lost = "a tick cannot change `x`";
    assert_body_error(&repeat("done(n)", "|t| { x += 1; Ok(()) }"), "x", lost);
    assert_body_error(&repeat("done(n)", "|t| f(&mut x)"), "x", "cx.set(");
    assert_body_error(
        &repeat("{ x = 1; Ok(true) }", "|t| f(t)"),
        "x",
        "cannot change `x`",
    );
    assert_body(&repeat("done(n)", "|mut x| { x += 1; f(x).await }"));
}
