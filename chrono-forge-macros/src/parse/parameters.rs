//! The parameters of a workflow: which are stored, which are handed in by the engine.
//!
//! Parameters that cannot be read are left out without a word; `check::parameters` reports them.

use crate::model::Parameter;
use crate::model::Role;
use syn::Attribute;
use syn::FnArg;
use syn::GenericArgument;
use syn::Pat;
use syn::PatType;
use syn::PathArguments;
use syn::PathSegment;
use syn::Signature;
use syn::Type;

/// Reads the typed, plainly named parameters.
pub(super) fn parameters(signature: &Signature) -> Vec<Parameter> {
    signature
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(typed) => parameter(typed),
        })
        .collect()
}

fn parameter(typed: &PatType) -> Option<Parameter> {
    let Pat::Ident(pattern) = &*typed.pat else {
        return None;
    };
    let named = |name: &str| {
        let of_name = |attribute: &&Attribute| attribute.path().is_ident(name);
        typed.attrs.iter().filter(of_name).cloned().collect()
    };
    let moved = |attribute: &&Attribute| {
        attribute.path().is_ident("cfg") || attribute.path().is_ident("serde")
    };
    Some(Parameter {
        cfg: named("cfg"),
        serde: named("serde"),
        attributes: typed.attrs.iter().filter(|a| !moved(a)).cloned().collect(),
        mutability: pattern.mutability,
        name: pattern.ident.clone(),
        ty: (*typed.ty).clone(),
        role: role(&typed.ty),
    })
}

/// The last path segment decides, because the user may have imported the types under any path.
fn role(ty: &Type) -> Role {
    match last_segment(ty) {
        Some(segment) if segment.ident == "Context" => Role::Context,
        Some(segment) if segment.ident == "State" => match type_argument(segment) {
            Some(state) => Role::State(Box::new(state.clone())),
            None => Role::Argument,
        },
        _ => Role::Argument,
    }
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

fn type_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) if arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}
