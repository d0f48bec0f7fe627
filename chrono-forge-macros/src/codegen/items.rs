//! The two items that the user can name: the type and the constructor.

use super::attributes::Attributes;
use super::runtime::Runtime;
use super::runtime::at;
use super::runtime::at_first;
use crate::model::Function;
use crate::model::Parameter;
use crate::model::Role;
use proc_macro2::Ident;
use proc_macro2::Span;
use proc_macro2::TokenStream;
use quote::ToTokens;
use quote::quote_spanned;
use syn::ReturnType;

/// Type and constructor.
pub(super) fn items(
    function: &Function,
    attributes: &Attributes<'_>,
    runtime: &Runtime,
) -> TokenStream {
    let ty = type_item(function, attributes);
    let constructor = constructor(function, attributes, runtime);
    quote_spanned!(Span::mixed_site()=> #ty #constructor)
}

/// A struct with a field, because a unit struct would also take the name as a value, which is the
/// constructor's. Registration is a use that the compiler cannot see, hence `dead_code`.
pub(super) fn type_item(function: &Function, attributes: &Attributes<'_>) -> TokenStream {
    let Attributes {
        cfg,
        docs,
        lints,
        deprecated,
        ..
    } = attributes;
    let name = type_name(function);
    let visibility = &function.visibility;
    let site = at(name.span());
    let spelling = function.options.type_name.is_none();
    let spelling = spelling.then(|| quote_spanned!(site=> non_camel_case_types,));
    // One complaint about missing documentation is enough, and the constructor gets it.
    let undocumented = docs.is_empty();
    let undocumented = undocumented.then(|| quote_spanned!(site=> missing_docs,));
    quote_spanned! {site=>
        #(#cfg)*
        #(#docs)*
        #(#lints)*
        #(#deprecated)*
        #[allow(
            #spelling
            #undocumented
            dead_code,
            missing_copy_implementations,
            missing_debug_implementations
        )]
        #visibility struct #name {
            _priv: (),
        }
    }
}

fn constructor(function: &Function, attributes: &Attributes<'_>, runtime: &Runtime) -> TokenStream {
    let Attributes {
        cfg,
        docs,
        lints,
        deprecated,
        ..
    } = attributes;
    let name = &function.signature.ident;
    let site = at(name.span());
    let private = runtime.private(site);
    let ty = type_name(function);
    let visibility = &function.visibility;
    let output = output(function, runtime);
    let declared = arguments(function).map(declaration);
    let passed = arguments(function).map(Parameter::guarded_name);
    let must_use = must_use(attributes, site);
    let uses_deprecated = attributes.uses_deprecated(site);
    let uses_underscore = uses_underscore(function, site);
    quote_spanned! {site=>
        #(#cfg)*
        #(#docs)*
        #(#lints)*
        #(#deprecated)*
        #must_use
        #uses_deprecated
        #uses_underscore
        #[allow(dead_code)]
        #visibility fn #name(#(#declared),*) -> #private::Invocation<#output> {
            <#ty>::__invoke(#(#passed),*)
        }
    }
}

/// Generated code passes on an argument whose name says that the user's code does not use it.
pub(super) fn uses_underscore(function: &Function, site: Span) -> Option<TokenStream> {
    let underscored = arguments(function).any(|p| p.name.to_string().starts_with('_'));
    underscored.then(|| quote_spanned!(site=> #[allow(clippy::used_underscore_binding)]))
}

fn must_use(attributes: &Attributes<'_>, site: Span) -> TokenStream {
    match attributes.must_use.as_slice() {
        [] => quote_spanned! {site=>
            #[must_use = "an invocation does nothing until it is started or spawned"]
        },
        users => quote_spanned!(site=> #(#users)*),
    }
}

/// The name of the type: the function's, unless that is taken.
pub(super) fn type_name(function: &Function) -> &Ident {
    match &function.options.type_name {
        Some(name) => name,
        None => &function.signature.ident,
    }
}

/// What the workflow's result is when it succeeds. A trait tells, because the return type may be any
/// alias; errors about it are shown at the type.
pub(super) fn output(function: &Function, runtime: &Runtime) -> TokenStream {
    let ty = match &function.signature.output {
        ReturnType::Default => quote_spanned!(at(function.signature.ident.span())=> ()),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    };
    let site = at_first(&ty);
    let private = runtime.private(site);
    quote_spanned!(site=> <#ty as #private::WorkflowReturn>::Output)
}

/// The parameters that the caller provides.
pub(super) fn arguments(function: &Function) -> impl Iterator<Item = &Parameter> {
    let is_argument = |parameter: &&Parameter| matches!(parameter.role, Role::Argument);
    function.parameters.iter().filter(is_argument)
}

/// `name: Type`, with its `#[cfg]`.
pub(super) fn declaration(parameter: &Parameter) -> TokenStream {
    let Parameter { cfg, name, ty, .. } = parameter;
    quote_spanned!(at(name.span())=> #(#cfg)* #name: #ty)
}

impl Parameter {
    /// `name`, with its `#[cfg]`.
    pub(super) fn guarded_name(&self) -> TokenStream {
        let Self { cfg, name, .. } = self;
        quote_spanned!(at(name.span())=> #(#cfg)* #name)
    }
}
