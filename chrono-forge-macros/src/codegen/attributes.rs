//! Which of the generated items each of the user's attributes belongs to.

use proc_macro2::Span;
use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::Attribute;
use syn::Meta;
use syn::Token;
use syn::parse::Parser;
use syn::punctuated::Punctuated;

/// The user's attributes by destination; some have several.
#[derive(Default)]
pub(super) struct Attributes<'a> {
    /// `#[cfg]`: the whole definition comes or goes.
    pub(super) cfg: Vec<&'a Attribute>,
    /// Documentation: both items that the user can name.
    pub(super) docs: Vec<&'a Attribute>,
    /// Lint levels: every item. `#[expect]` is not among them: it must hold for each item that has it.
    pub(super) lints: Vec<&'a Attribute>,
    /// `#[deprecated]`: both items that the user can name.
    pub(super) deprecated: Vec<&'a Attribute>,
    /// `#[must_use]`: the constructor, whose own is replaced.
    pub(super) must_use: Vec<&'a Attribute>,
    /// Anything else is about the code, such as `#[tracing::instrument]`.
    pub(super) body: Vec<&'a Attribute>,
}

impl<'a> Attributes<'a> {
    pub(super) fn sort(attributes: &'a [Attribute]) -> Self {
        let mut sorted = Self::default();
        for attribute in attributes {
            let destination = match subject(attribute).as_str() {
                "cfg" => &mut sorted.cfg,
                "doc" => &mut sorted.docs,
                "allow" | "warn" | "deny" | "forbid" => &mut sorted.lints,
                "deprecated" => &mut sorted.deprecated,
                "must_use" => &mut sorted.must_use,
                _ => &mut sorted.body,
            };
            destination.push(attribute);
        }
        sorted
    }

    /// Generated code names the items that the user has marked as deprecated.
    pub(super) fn uses_deprecated(&self, site: Span) -> Option<TokenStream> {
        let deprecated = !self.deprecated.is_empty();
        deprecated.then(|| quote_spanned!(site=> #[allow(deprecated)]))
    }
}

/// The attribute's name; that of the first attribute within a `cfg_attr`.
fn subject(attribute: &Attribute) -> String {
    let name = |meta: &Meta| meta.path().get_ident().map(ToString::to_string);
    let of_condition = |list: &syn::MetaList| {
        let metas = Punctuated::<Meta, Token![,]>::parse_terminated;
        let metas = metas.parse2(list.tokens.clone()).ok()?;
        name(metas.get(1)?)
    };
    let subject = match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg_attr") => of_condition(list),
        meta => name(meta),
    };
    subject.unwrap_or_default()
}
