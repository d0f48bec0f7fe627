//! How generated code refers to the runtime and to its own variables.

use crate::model::Options;
use proc_macro2::Ident;
use proc_macro2::Span;
use proc_macro2::TokenStream;
use quote::quote_spanned;

/// The path of the library.
pub(super) struct Runtime {
    root: TokenStream,
}

impl Runtime {
    pub(super) fn new(options: &Options) -> Self {
        let site = Span::mixed_site();
        Self {
            root: match &options.root {
                Some(path) => quote_spanned!(site=> #path),
                None => quote_spanned!(site=> ::chrono_forge),
            },
        }
    }

    /// The hidden module: `::chrono_forge::__private`.
    pub(super) fn private(&self) -> TokenStream {
        let root = &self.root;
        quote_spanned!(Span::mixed_site()=> #root::__private)
    }

    /// The same as text, which is how serde's derive takes the path of its library.
    pub(super) fn serde_path(&self) -> String {
        let text = self.root.to_string().replace(' ', "");
        format!("{text}::__private::serde")
    }
}

/// Where an error in generated code is shown: at the user's token. Its names stay ours, so that
/// neither side sees the other's variables, and lints know that nobody wrote this.
pub(super) fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// The body's handle on its run, a `&Context`.
pub(super) fn context() -> Ident {
    Ident::new("__cx", Span::mixed_site())
}
