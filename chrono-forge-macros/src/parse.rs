//! From tokens to the model. Understands as much as possible and reports the rest, so that one
//! mistake does not hide another.

mod arguments;
mod item;
mod lift;
mod operation;
mod options;
mod parameters;
mod vocabulary;

pub(crate) use lift::marker_index;
pub(crate) use options::NAMES as OPTION_NAMES;
pub(crate) use vocabulary::ON_ERROR;
pub(crate) use vocabulary::on_error_word;

use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Definition;
use crate::model::Function;
use item::Item;
use proc_macro2::Delimiter;
use proc_macro2::Group;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use quote::quote;

/// Reads the attribute's options and the item beneath it.
pub(crate) fn definition(
    options: TokenStream,
    tokens: TokenStream,
    diagnostics: &mut Diagnostics,
) -> Definition {
    let options = options::options(options, diagnostics);
    let item = match syn::parse2::<Item>(tokens.clone()) {
        Ok(item) => item,
        Err(error) => {
            diagnostics.loose(error.span(), diagnostics::not_a_function(&error));
            return Definition::Foreign(tokens);
        }
    };
    let function = Function {
        parameters: parameters::parameters(&item.signature),
        body: body(&item.block, diagnostics),
        options,
        attributes: item.attributes,
        visibility: item.visibility,
        signature: item.signature,
    };
    match function.options.part {
        Some(_) => Definition::Part(function),
        None => Definition::Workflow(function),
    }
}

/// Takes the operations out of a body and parses what remains.
fn body(block: &Group, diagnostics: &mut Diagnostics) -> Body {
    let mut operations = Vec::new();
    let tokens = lift::operations(block.stream(), &mut operations, diagnostics);
    let mut whole = Group::new(Delimiter::Brace, tokens.clone());
    whole.set_span(block.span());
    let whole = TokenTree::Group(whole);
    let syntax = match syn::parse2(quote!(#whole)) {
        Ok(syntax) => Some(syntax),
        Err(error) => {
            diagnostics.syntax(error);
            None
        }
    };
    Body {
        tokens,
        braces: block.delim_span(),
        syntax,
        operations,
    }
}
