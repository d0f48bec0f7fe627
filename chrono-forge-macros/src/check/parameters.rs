//! Rules on the parameters of a workflow: they are stored as JSON and read back for every pass.

use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Function;
use crate::model::Role;
use quote::ToTokens;
use syn::FnArg;
use syn::Lifetime;
use syn::Pat;
use syn::PathSegment;
use syn::Signature;
use syn::Type;
use syn::TypeImplTrait;
use syn::TypeReference;
use syn::visit::Visit;

/// One identifier each, because the name is the key under which the argument is stored.
pub(super) fn check_patterns(signature: &Signature, diagnostics: &mut Diagnostics) {
    for input in &signature.inputs {
        let FnArg::Typed(typed) = input else {
            continue;
        };
        match &*typed.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {}
            pattern => diagnostics.loose_tokens(pattern, diagnostics::pattern()),
        }
    }
}

pub(super) fn check_types(function: &Function, diagnostics: &mut Diagnostics) {
    for input in &function.signature.inputs {
        let FnArg::Typed(typed) = input else {
            continue;
        };
        match &*typed.ty {
            Type::Reference(reference) => {
                let message = diagnostics::reference(&owned_form(reference));
                diagnostics.loose_tokens(reference, message);
            }
            ty => Borrowed { diagnostics }.visit_type(ty),
        }
    }
}

/// The second of two contexts is surely a mistake; two states of one type are merely odd.
pub(super) fn check_one_context(function: &Function, diagnostics: &mut Diagnostics) {
    let is_context = |p: &&crate::model::Parameter| matches!(p.role, Role::Context);
    for second in function.parameters.iter().filter(is_context).skip(1) {
        // Two parameters under opposite `#[cfg]`s never meet.
        if second.cfg.is_empty() {
            diagnostics.loose_tokens(&second.name, diagnostics::second_context());
        }
    }
}

/// Rules on what the engine hands in.
pub(super) fn check_injected(function: &Function, diagnostics: &mut Diagnostics) {
    for parameter in &function.parameters {
        match parameter.role {
            Role::Argument => {
                if is_bare_state(&parameter.ty) {
                    diagnostics.loose_tokens(&parameter.ty, diagnostics::state_without_type());
                }
            }
            Role::Context | Role::State(_) => {
                for attribute in &parameter.serde {
                    let message = diagnostics::serde_on_injected(&parameter.name.to_string());
                    diagnostics.loose_tokens(attribute, message);
                }
            }
        }
    }
}

fn is_bare_state(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.is_ident("State"),
        _ => false,
    }
}

/// What to write instead of a reference.
fn owned_form(reference: &TypeReference) -> String {
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", spelled(&slice.elem)),
        Type::Path(path) if path.path.segments.last().is_some_and(is_context) => {
            "cx: Context".to_owned()
        }
        other => spelled(other),
    }
}

fn is_context(segment: &PathSegment) -> bool {
    segment.ident == "Context"
}

/// A type as people write it, not with the blanks of a token stream.
pub(super) fn spelled(ty: &impl ToTokens) -> String {
    let text = ty.to_token_stream().to_string();
    text.replace(" :: ", "::")
        .replace(" <", "<")
        .replace("< ", "<")
        .replace(" >", ">")
        .replace(" ,", ",")
        .replace("& ", "&")
}

/// Finds what cannot be decoded from storage anywhere within a type.
struct Borrowed<'a> {
    diagnostics: &'a mut Diagnostics,
}

impl<'ast> Visit<'ast> for Borrowed<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.diagnostics
            .loose_tokens(reference, diagnostics::borrowed_inside());
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.diagnostics
                .loose_tokens(lifetime, diagnostics::borrowed_inside());
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.diagnostics.loose_tokens(ty, diagnostics::impl_trait());
    }
}
