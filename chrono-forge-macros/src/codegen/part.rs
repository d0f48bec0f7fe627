//! A part: the user's function, its vocabulary bound to the context that it is given.

use super::render::Renderer;
use super::runtime::at;
use super::runtime::context;
use crate::check::Verdict;
use crate::check::part_context;
use crate::model::Function;
use proc_macro2::TokenStream;
use quote::quote_spanned;

/// The function as it was, its body rewritten.
pub(super) fn part(
    function: &Function,
    verdict: Verdict,
    renderer: &mut Renderer<'_>,
) -> TokenStream {
    let Function {
        attributes,
        visibility,
        signature,
        ..
    } = function;
    let site = at(signature.ident.span());
    let private = renderer.runtime.private(site);
    let prologue = match part_context(signature) {
        Some(given) if verdict.sound => {
            let cx = context();
            // Without an operation in the body, nobody reads it.
            quote_spanned!(site=> let #cx: &#private::Context = #given;)
        }
        _ => TokenStream::new(),
    };
    let block = renderer.block(&prologue);
    let mut signature = signature.clone();
    // Otherwise every `.await` in the body would be an error too.
    signature.asyncness.get_or_insert_default();
    quote_spanned!(site=> #(#attributes)* #visibility #signature #block)
}
