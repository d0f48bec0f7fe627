//! What a definition with an error on the outside looks like to the rest of the program.
//!
//! Type and constructor exist, so that the compiler does not blame whoever uses them. The function
//! stays, for the sake of editors.

use super::attributes::Attributes;
use super::items;
use super::render::Renderer;
use super::runtime::Runtime;
use super::runtime::at;
use crate::check::Verdict;
use crate::model::Function;
use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::FnArg;

/// The items of a definition that cannot be generated.
pub(super) fn imitation(
    function: &Function,
    attributes: &Attributes<'_>,
    runtime: &Runtime,
    verdict: Verdict,
    renderer: &mut Renderer<'_>,
) -> TokenStream {
    let original = original(function, renderer);
    let has_receiver = matches!(function.signature.inputs.first(), Some(FnArg::Receiver(_)));
    if has_receiver {
        // In an `impl` there is no place for other items.
        return original;
    }
    let Attributes { cfg, .. } = attributes;
    let site = at(function.signature.ident.span());
    let private = runtime.private(site);
    let error = renderer.error();
    let name = &function.signature.ident;
    let ty_item = items::type_item(function, attributes);
    let ty = items::type_name(function);
    let visibility = &function.visibility;
    let output = if verdict.sound_return && function.signature.generics.params.is_empty() {
        items::output(function, runtime)
    } else {
        quote_spanned!(site=> ())
    };
    let (generics, _, clause) = function.signature.generics.split_for_impl();
    let declared = items::arguments(function).map(items::declaration);
    quote_spanned! {site=>
        #ty_item
        #(#cfg)*
        #[allow(dead_code, unused_variables)]
        #visibility fn #name #generics(#(#declared),*) -> #private::Invocation<#output> #clause {
            loop {}
        }
        #(#cfg)*
        const _: () = {
            impl #private::Workflow for #ty {
                type Output = #output;
                const NAME: &'static str = "";
                const DEFINITION: &'static #private::Definition = #error;
            }
            #original
        };
    }
}

fn original(function: &Function, renderer: &mut Renderer<'_>) -> TokenStream {
    let site = at(function.signature.ident.span());
    let block = renderer.block(&TokenStream::new());
    let mut signature = function.signature.clone();
    // Otherwise every `.await` in the body would be an error too.
    signature.asyncness.get_or_insert_default();
    signature.constness = None;
    for input in &mut signature.inputs {
        if let FnArg::Typed(typed) = input {
            typed
                .attrs
                .retain(|attribute| !attribute.path().is_ident("serde"));
        }
    }
    quote_spanned! {site=>
        #[allow(dead_code, unused_variables, unused_mut)]
        #signature #block
    }
}
