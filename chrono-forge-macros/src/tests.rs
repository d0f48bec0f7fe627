//! Tests of the pipeline on token streams. They are unit tests because a proc-macro crate exports
//! nothing that an integration test could call; what the compiler says about the output is tested in
//! the `tests` package.

mod expansions;
mod grammar;
mod options;
mod repeat;
mod rules;
mod signatures;

use crate::check;
use crate::diagnostics::Diagnostics;
use crate::parse;
use proc_macro2::Delimiter;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;

/// Splits `#[workflow(options)] item` into what the compiler hands to an attribute macro.
fn split(source: &str) -> (TokenStream, TokenStream) {
    let mut tokens = source.parse::<TokenStream>().expect("tokens").into_iter();
    let hash = tokens.next().map(|token| token.to_string());
    assert_eq!(hash.as_deref(), Some("#"), "the attribute comes first");
    let Some(TokenTree::Group(attribute)) = tokens.next() else {
        panic!("no attribute");
    };
    let options = attribute
        .stream()
        .into_iter()
        .find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Some(group),
            _ => None,
        });
    let options = options.map_or_else(TokenStream::new, |group| group.stream());
    (options, tokens.collect())
}

/// An error: the text it points at, and what it says.
#[derive(Debug)]
struct Found {
    at: String,
    message: String,
}

/// All errors about an annotated item, in source order.
fn errors(source: &str) -> Vec<Found> {
    let (options, item) = split(source);
    let mut diagnostics = Diagnostics::new();
    let definition = parse::definition(options, item, &mut diagnostics);
    check::definition(&definition, &mut diagnostics);
    let report = diagnostics.finish();
    let mut errors: Vec<_> = report.placed.into_values().chain(report.loose).collect();
    errors.sort_by_key(|error| (error.span().start().line, error.span().start().column));
    errors
        .into_iter()
        .map(|error| Found {
            at: error.span().source_text().unwrap_or_default(),
            message: error.to_string(),
        })
        .collect()
}

/// Asserts that an item has exactly one error, at this text and with this in its message.
#[track_caller]
fn assert_error(source: &str, at: &str, message: &str) {
    let found = errors(source);
    match found.as_slice() {
        [one] => {
            assert!(one.message.contains(message), "{source}\n{found:#?}");
            assert_eq!(one.at, at, "{source}\n{found:#?}");
        }
        _ => panic!("expected one error in\n{source}\n{found:#?}"),
    }
}

/// The same for a workflow with this body.
#[track_caller]
fn assert_body_error(body: &str, at: &str, message: &str) {
    let source = format!("#[workflow] async fn wf(cx: Context, n: u32) -> Result<()> {{ {body} }}");
    assert_error(&source, at, message);
}

/// Asserts that a workflow with this body has no error.
#[track_caller]
fn assert_body(body: &str) {
    let source = format!("#[workflow] async fn wf(cx: Context, n: u32) -> Result<()> {{ {body} }}");
    assert_clean(&source);
}

#[track_caller]
fn assert_clean(source: &str) {
    let found = errors(source);
    assert!(found.is_empty(), "{source}\n{found:#?}");
}

#[test]
#[should_panic(expected = "never emitted")]
fn diagnostics_cannot_be_forgotten() {
    drop(Diagnostics::new());
}
