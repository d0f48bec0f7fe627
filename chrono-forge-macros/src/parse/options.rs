//! `#[workflow(name = "..", queue = "..", ..)]`.

use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Options;
use crate::model::Priority;
use proc_macro2::Ident;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use syn::LitInt;
use syn::LitStr;
use syn::Path;
use syn::Token;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::parse::Parser;

/// All option names, in the order in which errors list them.
pub(crate) const NAMES: [&str; 8] = [
    "name", "queue", "priority", "retry", "version", "type", "crate", "part",
];

/// Reads every option; a bad one is reported and skipped, the others still count.
pub(super) fn options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Options {
    let mut options = Options::default();
    let read_all = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if let Err(error) = option(input, &mut options, diagnostics) {
                diagnostics.syntax(error);
                skip_to_comma(input)?;
            }
            if input.is_empty() {
                break;
            }
            if !input.peek(Token![,]) {
                diagnostics.loose(input.span(), diagnostics::expected_comma());
                skip_to_comma(input)?;
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    if let Err(error) = read_all.parse2(tokens) {
        diagnostics.syntax(error);
    }
    options
}

fn option(
    input: ParseStream<'_>,
    options: &mut Options,
    diagnostics: &mut Diagnostics,
) -> syn::Result<()> {
    let name = input
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), diagnostics::expected_option()))?;
    let text = name.to_string();
    if !NAMES.contains(&text.as_str()) {
        let message = diagnostics::unknown_workflow_option(&text);
        return Err(syn::Error::new(name.span(), message));
    }
    if options.written.contains(&name) {
        diagnostics.loose(name.span(), diagnostics::duplicate_option(&text));
    }
    options.written.push(name.clone());
    if text == "part" {
        if input.peek(Token![=]) {
            return Err(input.error(diagnostics::part_takes_no_value()));
        }
        options.part = Some(name);
        return Ok(());
    }
    if !input.peek(Token![=]) {
        let message = diagnostics::option_without_value(&text);
        return Err(syn::Error::new(name.span(), message));
    }
    input.parse::<Token![=]>()?;
    value(&text, input, options)
}

fn value(name: &str, input: ParseStream<'_>, options: &mut Options) -> syn::Result<()> {
    match name {
        "name" => options.name = Some(text(name, input)?),
        "queue" => options.queue = Some(text(name, input)?),
        "priority" => options.priority = Some(priority(input)?),
        "retry" => options.retry = Some(input.parse()?),
        "version" => options.version = Some(version(input)?),
        "type" => {
            let wrong = |e: syn::Error| syn::Error::new(e.span(), diagnostics::type_not_a_name());
            options.type_name = Some(input.parse().map_err(wrong)?);
        }
        _ => {
            let wrong = |e: syn::Error| syn::Error::new(e.span(), diagnostics::crate_not_a_path());
            options.root = Some(Path::parse_mod_style(input).map_err(wrong)?);
        }
    }
    Ok(())
}

fn text(name: &str, input: ParseStream<'_>) -> syn::Result<LitStr> {
    let wrong = |e: syn::Error| syn::Error::new(e.span(), diagnostics::option_not_text(name));
    let literal: LitStr = input.parse().map_err(wrong)?;
    if literal.value().trim().is_empty() {
        return Err(syn::Error::new(
            literal.span(),
            diagnostics::option_empty(name),
        ));
    }
    if literal.value().contains('\0') {
        return Err(syn::Error::new(
            literal.span(),
            diagnostics::option_with_nul(name),
        ));
    }
    Ok(literal)
}

fn priority(input: ParseStream<'_>) -> syn::Result<Priority> {
    let wrong = |span| syn::Error::new(span, diagnostics::priority_unknown());
    let level = input.call(Ident::parse_any).map_err(|e| wrong(e.span()))?;
    match level.to_string().as_str() {
        "high" => Ok(Priority::High),
        "normal" => Ok(Priority::Normal),
        "low" => Ok(Priority::Low),
        _ => Err(wrong(level.span())),
    }
}

fn version(input: ParseStream<'_>) -> syn::Result<u32> {
    let wrong = |span| syn::Error::new(span, diagnostics::version_not_a_number());
    let literal: LitInt = input.parse().map_err(|e| wrong(e.span()))?;
    literal
        .base10_parse::<u32>()
        .map_err(|_| wrong(literal.span()))
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}
