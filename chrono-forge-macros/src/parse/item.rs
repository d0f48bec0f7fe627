//! The annotated function, its block kept as raw tokens: the vocabulary in it is not Rust yet, and
//! a body that does not parse must still be re-emitted.

use proc_macro2::Group;
use proc_macro2::TokenTree;
use syn::Attribute;
use syn::Signature;
use syn::Visibility;
use syn::parse::Parse;
use syn::parse::ParseStream;

/// A function with a signature that is understood and a body that is not.
pub(super) struct Item {
    pub(super) attributes: Vec<Attribute>,
    pub(super) visibility: Visibility,
    pub(super) signature: Signature,
    pub(super) block: Group,
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature = input.parse()?;
        let block = match input.parse()? {
            TokenTree::Group(block) => block,
            other => return Err(syn::Error::new(other.span(), "expected a body in braces")),
        };
        Ok(Self {
            attributes,
            visibility,
            signature,
            block,
        })
    }
}
