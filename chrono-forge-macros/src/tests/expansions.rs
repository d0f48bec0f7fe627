//! Golden expansions: `tests/expand/<case>.rs` must expand to `tests/expand/<case>.out.rs`.
//!
//! `UPDATE_EXPAND=1 cargo test -p chrono-forge-macros` rewrites the latter; read the difference before
//! you commit it.

use super::split;
use crate::expand;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use std::fs;
use std::path::Path;

fn pretty(tokens: TokenStream) -> String {
    let file = syn::parse2(tokens).expect("the expansion is Rust");
    prettyplease::unparse(&file)
}

fn expansion(case: &str) -> TokenStream {
    let input = folder().join(format!("{case}.rs"));
    let source = fs::read_to_string(input).expect("an input");
    let (options, item) = split(&source);
    expand::workflow(options, item)
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/expand"))
}

#[track_caller]
fn assert_expansion(case: &str) {
    let actual = pretty(expansion(case));
    let golden = folder().join(format!("{case}.out.rs"));
    if std::env::var_os("UPDATE_EXPAND").is_some() {
        fs::write(&golden, &actual).expect("written");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        actual == expected,
        "{case} expands differently; if that is right, update with UPDATE_EXPAND=1\n{actual}"
    );
}

fn contains_ident(tokens: TokenStream, banned: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == banned,
        TokenTree::Group(group) => contains_ident(group.stream(), banned),
        TokenTree::Literal(literal) => literal.to_string().contains(banned),
        TokenTree::Punct(_) => false,
    })
}

#[test]
fn a_workflow() {
    assert_expansion("invoice_run");
}

#[test]
fn every_option_of_the_attribute() {
    assert_expansion("options");
}

#[test]
fn every_operation() {
    assert_expansion("operations");
}

#[test]
fn a_repeat_of_every_form() {
    assert_expansion("repeat");
}

#[test]
fn operations_in_the_arguments_of_other_macros() {
    assert_expansion("foreign_macros");
}

#[test]
fn attributes_go_where_they_belong() {
    assert_expansion("attributes");
}

#[test]
fn a_part() {
    assert_expansion("part");
}

#[test]
fn nothing_in_and_nothing_out() {
    assert_expansion("bare");
}

#[test]
fn an_error_in_the_body_stands_in_its_place() {
    assert_expansion("error_in_body");
}

#[test]
fn an_error_in_the_signature_leaves_an_imitation() {
    assert_expansion("error_in_signature");
}

#[test]
fn an_error_in_a_part_leaves_the_function() {
    assert_expansion("error_in_part");
}

#[test]
fn something_else_than_a_function_is_left_alone() {
    assert_expansion("not_a_function");
}

#[test]
fn a_renamed_crate_is_honoured_everywhere() {
    assert_expansion("renamed");
    assert!(!contains_ident(expansion("renamed"), "chrono_forge"));
    assert!(contains_ident(expansion("invoice_run"), "chrono_forge"));
}

#[test]
fn every_input_is_tested() {
    let inputs = fs::read_dir(folder()).expect("the folder");
    let inputs = inputs.filter(|file| {
        let name = file.as_ref().expect("a file").file_name();
        !name.to_string_lossy().ends_with(".out.rs")
    });
    assert_eq!(inputs.count(), 13);
}
