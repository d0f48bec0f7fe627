//! From a macro's arguments to an operation: which argument is the key, which the body, and what
//! the body is.

mod key;
mod work;

use super::arguments::Argument;
use super::arguments::arguments;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Kind;
use crate::model::Operation;
use crate::model::OperationId;
use proc_macro2::Delimiter;
use proc_macro2::Ident;
use proc_macro2::Span;
use proc_macro2::TokenStream;
use syn::Expr;
use syn::parse::Parser;

/// What an operation was written with.
pub(super) struct Arguments {
    /// The delimiter decides how the compiler reads a macro call that begins a statement.
    pub(super) delimiter: Delimiter,
    pub(super) span: Span,
    /// The closing delimiter.
    pub(super) end: Span,
    pub(super) tokens: TokenStream,
}

/// Collects the errors of one operation.
struct Report<'a> {
    id: OperationId,
    kind: Kind,
    diagnostics: &'a mut Diagnostics,
}

impl Report<'_> {
    fn error(&mut self, span: Span, message: String) {
        self.diagnostics.at(self.id, span, message);
    }

    fn error_spanned(&mut self, tokens: &impl quote::ToTokens, message: String) {
        self.diagnostics.at_tokens(self.id, tokens, message);
    }
}

/// The arguments, sorted by their place in the grammar.
struct Sorted {
    options: Vec<(Ident, Expr)>,
    positional: Vec<Expr>,
}

/// Reads one operation; `None` after an error, which then stands at the operation's place.
pub(super) fn operation(
    kind: Kind,
    name: &Ident,
    input: &Arguments,
    id: OperationId,
    diagnostics: &mut Diagnostics,
) -> Option<Operation> {
    let arguments = match arguments.parse2(input.tokens.clone()) {
        Ok(arguments) => arguments,
        Err(error) => {
            diagnostics.at_syntax(id, with_place(error, input));
            return None;
        }
    };
    let mut report = Report {
        id,
        kind,
        diagnostics,
    };
    let sorted = sort(kind, arguments, &mut report)?;
    let (key, positional) = key::split(name, sorted.positional, &sorted.options, &mut report)?;
    let mut options = sorted.options;
    let work = work::work(name, positional, &mut options, &mut report)?;
    let key = match (kind, key) {
        (Kind::Merge, _) => None,
        (_, Some(key)) => Some(key),
        (_, None) => Some(key::default(&work, &mut report)?),
    };
    Some(Operation {
        kind,
        name: name.clone(),
        key,
        options,
        work,
    })
}

/// The parser does not know where its input ended; we do.
fn with_place(error: syn::Error, input: &Arguments) -> syn::Error {
    let text = error.to_string();
    match text.starts_with("unexpected end of input") {
        true => syn::Error::new(input.end, text),
        false => error,
    }
}

/// Separates options from the rest. Every bad option is reported; the good ones stay.
fn sort(kind: Kind, arguments: Vec<Argument>, report: &mut Report<'_>) -> Option<Sorted> {
    let mut sound = check_order(kind, &arguments, report);
    let mut sorted = Sorted {
        options: Vec::new(),
        positional: Vec::new(),
    };
    for argument in arguments {
        let Some(name) = argument.option else {
            sorted.positional.push(argument.value);
            continue;
        };
        let text = name.to_string();
        if !kind.options().contains(&text.as_str()) {
            report.error(name.span(), diagnostics::unknown_option(kind, &text));
            sound = false;
        } else if sorted.options.iter().any(|(other, _)| *other == name) {
            report.error(name.span(), diagnostics::duplicate_option(&text));
            sound = false;
        } else {
            sorted.options.push((name, argument.value));
        }
    }
    sound.then_some(sorted)
}

/// Key first, body last.
fn check_order(kind: Kind, arguments: &[Argument], report: &mut Report<'_>) -> bool {
    let positional: Vec<usize> = (0..arguments.len())
        .filter(|place| arguments[*place].option.is_none())
        .collect();
    let (Some(first), Some(last)) = (positional.first(), positional.last()) else {
        return true;
    };
    let mut sound = true;
    let has_key = positional.len() > 1 || kind == Kind::Wait;
    if has_key && arguments[..*first].iter().any(|a| a.option.is_some()) {
        report.error_spanned(
            &arguments[*first].value,
            diagnostics::key_after_option(kind),
        );
        sound = false;
    }
    // What `wait!` waits for may be an option; and a key alone is no body.
    let is_body = positional.len() > 1 || !key::is_text(&arguments[*last].value);
    if kind != Kind::Wait && is_body {
        let after = arguments[*last..].iter().filter_map(|a| a.option.as_ref());
        for name in after {
            let name_text = name.to_string();
            // An unknown option is wrong at any place.
            if kind.options().contains(&name_text.as_str()) {
                let message = diagnostics::option_after_body(kind, &name_text);
                report.error(name.span(), message);
                sound = false;
            }
        }
    }
    sound
}
