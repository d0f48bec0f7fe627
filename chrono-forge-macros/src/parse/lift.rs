//! Finds operations in tokens and takes them out.
//!
//! Works on tokens, not on syntax, because an operation may stand in the arguments of any other
//! macro (`join!`, `select!`, `vec!`, `format!`), whose grammar is unknown here.

use super::operation;
use super::operation::Arguments;
use super::vocabulary::Word;
use super::vocabulary::word;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Operation;
use proc_macro2::Delimiter;
use proc_macro2::Group;
use proc_macro2::Ident;
use proc_macro2::Literal;
use proc_macro2::Punct;
use proc_macro2::Spacing;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;

/// The name of the macro that stands where an operation stood.
const MARKER: &str = "__chrono_forge_operation";

/// Replaces every operation in `tokens` by its marker and appends it to `operations`.
pub(super) fn operations(
    tokens: TokenStream,
    operations: &mut Vec<Option<Operation>>,
    diagnostics: &mut Diagnostics,
) -> TokenStream {
    let input: Vec<TokenTree> = tokens.into_iter().collect();
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input.as_slice();
    while let Some((first, after)) = rest.split_first() {
        if let Some(length) = foreign_item(rest) {
            output.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if let Some((name, arguments)) = invocation(rest)
            && let Some(word) = word(&name.to_string())
            && is_ours(&word, &output)
        {
            drop_path_prefix(&mut output);
            output.extend(lift(&word, name, arguments, operations, diagnostics));
            rest = &rest[3..];
            continue;
        }
        let found = operations.len();
        let inner = match first {
            TokenTree::Group(group) => {
                let inner = self::operations(group.stream(), operations, diagnostics);
                Some(with_content(group, inner))
            }
            _ => None,
        };
        // A rebuilt group has lost the places of its delimiters, so it replaces only what it must.
        output.push(match inner {
            Some(lifted) if operations.len() > found => TokenTree::Group(lifted),
            _ => first.clone(),
        });
        rest = after;
    }
    output.into_iter().collect()
}

fn with_content(group: &Group, content: TokenStream) -> Group {
    let mut changed = Group::new(group.delimiter(), content);
    changed.set_span(group.span());
    changed
}

/// The operation's index, if `tokens` begin with its marker.
pub(crate) fn marker_index(tokens: &[TokenTree]) -> Option<usize> {
    let (name, arguments) = invocation(tokens)?;
    if name != MARKER {
        return None;
    }
    arguments.stream().to_string().parse().ok()
}

/// Takes one operation out. Reserved names are taken out too, although they are errors already, so
/// that nothing else complains about them.
fn lift(
    word: &Word,
    name: &Ident,
    group: &Group,
    operations: &mut Vec<Option<Operation>>,
    diagnostics: &mut Diagnostics,
) -> [TokenTree; 3] {
    // The slot is taken before the operations inside, so that indices follow the source.
    let index = operations.len();
    operations.push(None);
    let arguments = Arguments {
        delimiter: group.delimiter(),
        span: group.span(),
        end: group.span_close(),
        tokens: self::operations(group.stream(), operations, diagnostics),
    };
    match word {
        Word::Operation(kind) => {
            operations[index] = operation::operation(*kind, name, &arguments, index, diagnostics);
        }
        Word::Reserved => {
            let message = diagnostics::reserved(&name.to_string());
            diagnostics.at(index, name.span(), message);
        }
    }
    marker(name, index, &arguments)
}

fn marker(name: &Ident, index: usize, arguments: &Arguments) -> [TokenTree; 3] {
    let mut bang = Punct::new('!', Spacing::Alone);
    bang.set_span(name.span());
    let content = TokenTree::Literal(Literal::usize_unsuffixed(index));
    let mut group = Group::new(arguments.delimiter, content.into());
    group.set_span(arguments.span);
    [
        TokenTree::Ident(Ident::new(MARKER, name.span())),
        TokenTree::Punct(bang),
        TokenTree::Group(group),
    ]
}

/// `name ! group`.
fn invocation(tokens: &[TokenTree]) -> Option<(&Ident, &Group)> {
    match tokens {
        [
            TokenTree::Ident(name),
            TokenTree::Punct(bang),
            TokenTree::Group(group),
            ..,
        ] if bang.as_char() == '!' && group.delimiter() != Delimiter::None => Some((name, group)),
        _ => None,
    }
}

/// The length of a nested function or macro definition at the head of `tokens`.
///
/// Those are no part of this body: a function is not durable unless it is annotated itself, and what a
/// `macro_rules!` expands to is unknown.
fn foreign_item(tokens: &[TokenTree]) -> Option<usize> {
    match tokens {
        [TokenTree::Ident(keyword), TokenTree::Ident(_), ..] if keyword == "fn" => {
            let ends = |token: &TokenTree| match token {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(punct) => punct.as_char() == ';',
                _ => false,
            };
            tokens.iter().position(ends).map(|end| end + 1)
        }
        [
            TokenTree::Ident(keyword),
            TokenTree::Punct(_),
            TokenTree::Ident(_),
            TokenTree::Group(_),
            ..,
        ] if keyword == "macro_rules" => Some(4),
        _ => None,
    }
}

/// Any path may stand before an operation, because the crate may have any name. With a path before
/// it, a reserved name belongs to someone else (`uuid::uuid!`), except under our own.
fn is_ours(word: &Word, before: &[TokenTree]) -> bool {
    match (word, before) {
        (Word::Operation(_), _) => true,
        (Word::Reserved, _) if !ends_in_path_separator(before) => true,
        (Word::Reserved, [.., TokenTree::Ident(last), _, _]) => last == "chrono_forge",
        (Word::Reserved, _) => false,
    }
}

fn ends_in_path_separator(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [.., TokenTree::Punct(a), TokenTree::Punct(b)]
        if a.as_char() == ':' && b.as_char() == ':')
}

/// Removes `path::` from the end: `cf::step!(..)` means the same as `step!(..)`.
fn drop_path_prefix(output: &mut Vec<TokenTree>) {
    while ends_in_path_separator(output) {
        output.truncate(output.len() - 2);
        let segment = match output.last() {
            Some(TokenTree::Ident(ident)) => is_path_segment(ident),
            _ => false,
        };
        if segment {
            output.pop();
        }
    }
}

/// Whether an identifier before `::` belongs to the path, as in `a::step!`, and not to the
/// expression around it, as in `return ::a::step!`.
fn is_path_segment(ident: &Ident) -> bool {
    let text = ident.to_string();
    matches!(text.as_str(), "crate" | "self" | "super") || syn::parse_str::<Ident>(&text).is_ok()
}
