//! How generated code refers to the runtime and to its own variables.

use crate::model::Options;
use proc_macro2::Ident;
use proc_macro2::Span;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use quote::ToTokens;
use quote::quote_spanned;

/// The path of the library.
pub(super) struct Runtime {
    root: TokenStream,
}

impl Runtime {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            root: match &options.root {
                Some(path) => path.to_token_stream(),
                None => quote_spanned!(Span::mixed_site()=> ::chrono_forge),
            },
        }
    }

    /// The hidden module: `::chrono_forge::__private`. Errors about what is named in it are shown at
    /// `site`; an expression that began elsewhere would be shown as everything in between.
    pub(super) fn private(&self, site: Span) -> TokenStream {
        let root = relocated(self.root.clone(), site);
        quote_spanned!(site=> #root::__private)
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

/// [`at`] the first of some tokens.
pub(super) fn at_first(tokens: &impl ToTokens) -> Span {
    let first = tokens.to_token_stream().into_iter().next();
    first.map_or_else(Span::mixed_site, |token| at(token.span()))
}

/// The body's handle on its run, a `&Context`.
pub(super) fn context() -> Ident {
    Ident::new("__cx", Span::mixed_site())
}

/// Another place, but the same names: `$crate` keeps its meaning.
fn relocated(tokens: TokenStream, site: Span) -> TokenStream {
    let relocate = |mut token: TokenTree| {
        token.set_span(token.span().located_at(site));
        token
    };
    tokens.into_iter().map(relocate).collect()
}
