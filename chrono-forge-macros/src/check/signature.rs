//! Rules on the function as such.

use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use syn::FnArg;
use syn::Safety;
use syn::Signature;

pub(super) fn check_async(signature: &Signature, diagnostics: &mut Diagnostics) {
    if signature.asyncness.is_none() {
        diagnostics.loose(signature.fn_token.span, diagnostics::not_async());
    }
}

pub(super) fn check_modifiers(signature: &Signature, diagnostics: &mut Diagnostics) {
    if let Some(constness) = &signature.constness {
        diagnostics.loose(constness.span, diagnostics::modifier("const"));
    }
    match &signature.safety {
        Safety::Unsafe(word) => diagnostics.loose(word.span, diagnostics::modifier("unsafe")),
        Safety::Safe(word) => diagnostics.loose(word.span, diagnostics::modifier("safe")),
        _ => {}
    }
    if let Some(abi) = &signature.abi {
        diagnostics.loose_tokens(abi, diagnostics::modifier("extern"));
    }
    if let Some(variadic) = &signature.variadic {
        diagnostics.loose_tokens(variadic, diagnostics::variadic());
    }
}

/// The registry holds one function per name, so there is nobody to choose type arguments.
pub(super) fn check_generics(signature: &Signature, diagnostics: &mut Diagnostics) {
    let generics = &signature.generics;
    if !generics.params.is_empty() {
        diagnostics.loose_tokens(&generics.params, diagnostics::generics());
    } else if let Some(clause) = &generics.where_clause {
        diagnostics.loose_tokens(clause, diagnostics::generics());
    }
}

pub(super) fn check_receiver(signature: &Signature, diagnostics: &mut Diagnostics) {
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        diagnostics.loose_tokens(receiver, diagnostics::receiver());
    }
}
