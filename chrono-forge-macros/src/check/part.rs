//! Rules on a part. It is an ordinary function otherwise, so most of what a workflow may not be, it
//! may.

use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Function;
use quote::ToTokens;
use syn::FnArg;
use syn::Ident;
use syn::Pat;
use syn::Signature;
use syn::Type;

/// All rules on the outside of a part.
pub(super) fn check_part(function: &Function, diagnostics: &mut Diagnostics) {
    check_part_options(function, diagnostics);
    check_part_async(&function.signature, diagnostics);
    check_part_context(&function.signature, diagnostics);
}

fn check_part_options(function: &Function, diagnostics: &mut Diagnostics) {
    for name in &function.options.written {
        if name != "part" && name != "crate" {
            let message = diagnostics::option_on_part(&name.to_string());
            diagnostics.loose(name.span(), message);
        }
    }
}

fn check_part_async(signature: &Signature, diagnostics: &mut Diagnostics) {
    if signature.asyncness.is_none() {
        diagnostics.loose(signature.fn_token.span, diagnostics::part_not_async());
    }
}

fn check_part_context(signature: &Signature, diagnostics: &mut Diagnostics) {
    if part_context(signature).is_some() {
        return;
    }
    let message = diagnostics::part_without_context();
    let first = signature
        .inputs
        .iter()
        .find(|input| matches!(input, FnArg::Typed(_)));
    match first {
        Some(input) => diagnostics.loose_tokens(&input.to_token_stream(), message),
        None => diagnostics.loose(signature.ident.span(), message),
    }
}

/// The name of the context parameter: the first one after a receiver, if it is `name: &Context`.
pub(crate) fn part_context(signature: &Signature) -> Option<&Ident> {
    let typed = signature.inputs.iter().find_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    })?;
    let Pat::Ident(name) = &*typed.pat else {
        return None;
    };
    let Type::Reference(reference) = &*typed.ty else {
        return None;
    };
    let Type::Path(path) = &*reference.elem else {
        return None;
    };
    let is_context = path
        .path
        .segments
        .last()
        .is_some_and(|s| s.ident == "Context");
    (is_context && reference.mutability.is_none()).then_some(&name.ident)
}
