//! The one grammar of the vocabulary: `[key,] [option = expr,]* body`, as a list of arguments.

use crate::diagnostics;
use proc_macro2::Ident;
use syn::Expr;
use syn::Token;
use syn::ext::IdentExt;
use syn::parse::ParseStream;

/// What stands between two commas.
pub(super) struct Argument {
    /// The name, if it is an option.
    pub(super) option: Option<Ident>,
    pub(super) value: Expr,
}

/// Reads arguments up to the end. One comma may trail, as everywhere in Rust.
pub(super) fn arguments(input: ParseStream<'_>) -> syn::Result<Vec<Argument>> {
    let mut arguments = Vec::new();
    while !input.is_empty() {
        if input.peek(Token![,]) {
            return Err(input.error(diagnostics::empty_argument()));
        }
        arguments.push(argument(input)?);
        if input.is_empty() {
            break;
        }
        if !input.peek(Token![,]) {
            return Err(input.error(diagnostics::expected_comma()));
        }
        input.parse::<Token![,]>()?;
    }
    Ok(arguments)
}

fn argument(input: ParseStream<'_>) -> syn::Result<Argument> {
    // `peek(Token![=])` also matches the head of `==` and `=>`.
    let option = input.peek(Ident::peek_any)
        && input.peek2(Token![=])
        && !input.peek2(Token![==])
        && !input.peek2(Token![=>]);
    let option = if option {
        let name = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            let message = diagnostics::option_without_value(&name.to_string());
            return Err(syn::Error::new(name.span(), message));
        }
        Some(name)
    } else {
        None
    };
    Ok(Argument {
        option,
        value: input.parse()?,
    })
}
