//! The return type, as far as it can be judged without knowing what an alias stands for.
//!
//! The trait bound in the generated code has the last word; this rule only speaks first, because
//! it can name the remedy.

use super::parameters::spelled;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use syn::GenericArgument;
use syn::PathArguments;
use syn::PathSegment;
use syn::ReturnType;
use syn::Signature;
use syn::Type;

/// Types of the standard library that are surely no `Result`.
const PLAIN: [&str; 29] = [
    "bool", "char", "str", "String", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16",
    "u32", "u64", "u128", "usize", "f32", "f64", "Vec", "VecDeque", "Option", "Box", "Arc", "Rc",
    "HashMap", "HashSet", "BTreeMap", "BTreeSet", "Cow",
];

pub(super) fn check_return_type(signature: &Signature, diagnostics: &mut Diagnostics) {
    let ReturnType::Type(_, ty) = &signature.output else {
        return;
    };
    match bare(ty) {
        Type::ImplTrait(_) => diagnostics.loose_tokens(ty, diagnostics::impl_return()),
        Type::Tuple(tuple) if tuple.elems.is_empty() => {}
        Type::Tuple(_) | Type::Array(_) | Type::Reference(_) | Type::Slice(_) | Type::Ptr(_) => {
            diagnostics.loose_tokens(ty, diagnostics::plain_return(&spelled(ty)));
        }
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return;
            };
            if PLAIN.iter().any(|plain| last.ident == plain) {
                diagnostics.loose_tokens(ty, diagnostics::plain_return(&spelled(ty)));
            } else if last.ident == "Result" {
                check_error_type(last, diagnostics);
            }
        }
        _ => {}
    }
}

fn check_error_type(result: &PathSegment, diagnostics: &mut Diagnostics) {
    let PathArguments::AngleBracketed(arguments) = &result.arguments else {
        return;
    };
    let Some(GenericArgument::Type(error)) = arguments.args.get(1) else {
        return;
    };
    if is_text(error) {
        diagnostics.loose_tokens(error, diagnostics::text_error());
    } else if is_boxed_error(error) {
        diagnostics.loose_tokens(error, diagnostics::boxed_error());
    }
}

fn is_text(ty: &Type) -> bool {
    match bare(ty) {
        Type::Path(path) => ["String", "str"]
            .iter()
            .any(|text| path.path.segments.last().is_some_and(|s| s.ident == text)),
        Type::Reference(reference) => is_text(&reference.elem),
        _ => false,
    }
}

fn is_boxed_error(ty: &Type) -> bool {
    let Type::Path(path) = bare(ty) else {
        return false;
    };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return false;
    };
    let holds_trait_object = matches!(
        arguments.args.first(),
        Some(GenericArgument::Type(Type::TraitObject(_)))
    );
    last.ident == "Box" && holds_trait_object
}

fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        other => other,
    }
}
