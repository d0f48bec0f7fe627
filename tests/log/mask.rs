//! Lines as they are compared.

/// What is different each time, as a word that stands for it.
pub(crate) fn mask(line: &str, folder: &str) -> String {
    let line = line.replace(folder, "<folder>");
    let line = line.replace(env!("CARGO_PKG_VERSION"), "<version>");
    let words = line.split(' ').map(word);
    words.collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (Some(name), value),
        None => (None, word),
    };
    let inner = value.trim_end_matches([',', ';', '"']);
    let masked = if inner.parse::<jiff::Timestamp>().is_ok() {
        "<instant>"
    } else if is_span(inner) {
        "<span>"
    } else {
        inner
    };
    let rest = &value[inner.len()..];
    match name {
        Some("worker") => "worker=<worker>".to_owned(),
        Some("version") if is_schema(inner) => "version=\"<schema>\"".to_owned(),
        Some(name) => format!("{name}={masked}{rest}"),
        None => format!("{masked}{rest}"),
    }
}

/// The version of a schema: a date and a number.
fn is_schema(text: &str) -> bool {
    let digits = text.trim_start_matches('"');
    digits.len() == 14 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// As `Duration` is told: `1.5s`, `20ms`.
fn is_span(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = &text[number.len()..];
    matches!(unit, "s" | "ms" | "µs" | "ns") && number.parse::<f64>().is_ok()
}

/// The process and the host of a worker.
pub(crate) fn mask_process(line: &str) -> String {
    let Some((before, rest)) = line.split_once(", process ") else {
        return line.to_owned();
    };
    let after = rest.split_once('"').map_or("", |(_, after)| after);
    format!("{before}, process <process> on <host>\"{after}")
}

#[test]
fn what_differs_each_time_is_masked() {
    let line = "WARN worker=7 who=\"w, process 12 on h\" next=2026-12-01T04:33:12.5Z took=1.5s version=\"20261202000012\" a/f/b.db says 3";
    let masked = mask_process(&mask(line, "a/f"));
    assert_eq!(
        masked,
        "WARN worker=<worker> who=\"w, process <process> on <host>\" next=<instant> took=<span> version=\"<schema>\" <folder>/b.db says 3"
    );
}
