//! Everything nobody names: stored arguments, the trait, the body, its start, the registration.
//!
//! It lives in an anonymous constant, so that none of its names can collide.

use super::attributes::Attributes;
use super::items;
use super::render::Renderer;
use super::runtime::Runtime;
use super::runtime::at;
use super::runtime::at_first;
use super::runtime::context;
use crate::model::Function;
use crate::model::Options;
use crate::model::Parameter;
use crate::model::Priority;
use crate::model::Role;
use proc_macro2::Ident;
use proc_macro2::Span;
use proc_macro2::TokenStream;
use quote::ToTokens;
use quote::quote_spanned;
use syn::LitStr;
use syn::ReturnType;
use syn::ext::IdentExt;

/// The anonymous constant.
pub(super) fn glue(
    function: &Function,
    attributes: &Attributes<'_>,
    runtime: &Runtime,
    renderer: &mut Renderer<'_>,
) -> TokenStream {
    let Attributes { cfg, lints, .. } = attributes;
    let site = at(function.signature.ident.span());
    let private = runtime.private(site);
    let ty = items::type_name(function);
    let arguments = arguments(function, runtime);
    let invoke = invoke(function, runtime);
    let workflow = workflow(function, runtime);
    let body = body(function, attributes, runtime, renderer);
    let run = run(function, runtime);
    let uses_deprecated = attributes.uses_deprecated(site);
    quote_spanned! {site=>
        #(#cfg)*
        #(#lints)*
        #uses_deprecated
        const _: () = {
            #arguments
            #invoke
            #workflow
            #body
            #run
            #private::inventory::submit! {
                #private::Registration(<#ty as #private::Workflow>::DEFINITION)
            }
        };
    }
}

/// The arguments as they are stored: a JSON object by name.
fn arguments(function: &Function, runtime: &Runtime) -> TokenStream {
    let site = Span::mixed_site();
    let private = runtime.private(site);
    let serde = runtime.serde_path();
    let fields = items::arguments(function).map(|parameter| {
        let Parameter {
            cfg,
            serde,
            name,
            ty,
            ..
        } = parameter;
        quote_spanned!(at(name.span())=> #(#cfg)* #(#serde)* #name: #ty)
    });
    quote_spanned! {site=>
        #[derive(#private::serde::Serialize, #private::serde::Deserialize)]
        #[serde(crate = #serde)]
        struct __Args {
            #(#fields,)*
        }
    }
}

fn invoke(function: &Function, runtime: &Runtime) -> TokenStream {
    let site = at(function.signature.ident.span());
    let private = runtime.private(site);
    let ty = items::type_name(function);
    let visibility = &function.visibility;
    let declared = items::arguments(function).map(items::declaration);
    let passed = items::arguments(function).map(Parameter::guarded_name);
    let uses_underscore = items::uses_underscore(function, site);
    quote_spanned! {site=>
        impl #ty {
            #[doc(hidden)]
            #uses_underscore
            #[allow(dead_code, clippy::too_many_arguments)]
            #visibility fn __invoke(
                #(#declared),*
            ) -> #private::Invocation<<Self as #private::Workflow>::Output> {
                #private::invoke::<Self, __Args>(&__Args { #(#passed),* })
            }
        }
    }
}

fn workflow(function: &Function, runtime: &Runtime) -> TokenStream {
    let signature = &function.signature;
    let site = at(signature.ident.span());
    let private = runtime.private(site);
    let ty = items::type_name(function);
    let output = items::output(function, runtime);
    let options = &function.options;
    let written = signature.ident.unraw().to_string();
    let name = registered_name(function);
    let queue = match &options.queue {
        Some(queue) => queue.to_token_stream(),
        None => quote_spanned!(site=> "default"),
    };
    let priority = priority(options);
    let version = options.version.unwrap_or(1);
    let version = proc_macro2::Literal::u32_unsuffixed(version);
    let retry = match &options.retry {
        Some(policies) => {
            // A wrong type is shown at the user's expression.
            let site = at_first(policies);
            let into = quote_spanned!(site=> ::core::convert::Into::into(#policies));
            quote_spanned! {site=>
                ::core::option::Option::Some(|| -> #private::RetryPolicies { #into })
            }
        }
        None => quote_spanned!(site=> ::core::option::Option::None),
    };
    let states = function.parameters.iter().filter_map(|parameter| {
        let Role::State(state) = &parameter.role else {
            return None;
        };
        let cfg = &parameter.cfg;
        Some(quote_spanned!(at(parameter.name.span())=> #(#cfg)* #private::StateSpec::of::<#state>))
    });
    quote_spanned! {site=>
        impl #private::Workflow for #ty {
            type Output = #output;
            const NAME: &'static str = #name;
            const DEFINITION: &'static #private::Definition = &#private::Definition {
                name: #name,
                application: #private::application(
                    ::core::option_env!("CARGO_PKG_NAME"),
                    ::core::module_path!(),
                ),
                path: ::core::concat!(::core::module_path!(), "::", #written),
                queue: #queue,
                priority: #private::Priority::#priority,
                version: #version,
                retry: #retry,
                states: &[#(#states),*],
                run: __run,
            };
        }
    }
}

/// The user's function under another name: its own is the constructor's, which the body may call.
fn body(
    function: &Function,
    attributes: &Attributes<'_>,
    runtime: &Runtime,
    renderer: &mut Renderer<'_>,
) -> TokenStream {
    let site = at(function.signature.ident.span());
    let private = runtime.private(site);
    let attributes = &attributes.body;
    let cx = context();
    let output = &function.signature.output;
    let parameters = function.parameters.iter().map(|parameter| {
        let Parameter {
            cfg,
            attributes,
            mutability,
            name,
            ty,
            ..
        } = parameter;
        quote_spanned!(at(name.span())=> #(#cfg)* #(#attributes)* #mutability #name: #ty)
    });
    let block = renderer.block(&TokenStream::new());
    quote_spanned! {site=>
        #(#attributes)*
        #[allow(clippy::too_many_arguments)]
        async fn __body(#cx: &#private::Context, #(#parameters),*) #output #block
    }
}

fn run(function: &Function, runtime: &Runtime) -> TokenStream {
    let site = at(function.signature.ident.span());
    let private = runtime.private(site);
    let cx = context();
    let name = |text: &str| Ident::new(text, Span::mixed_site());
    let (pass, arguments, output) = (name("__pass"), name("__args"), name("__out"));
    let values = function.parameters.iter().map(|parameter| {
        let Parameter { cfg, name, .. } = parameter;
        let value = match &parameter.role {
            Role::Argument => quote_spanned!(site=> #arguments.#name),
            Role::Context => quote_spanned!(site=> ::core::clone::Clone::clone(&#cx)),
            Role::State(state) => quote_spanned!(site=> #private::state::<#state>(&#cx)),
        };
        quote_spanned!(site=> #(#cfg)* #value)
    });
    // A workflow without arguments still decodes them: a run that has some was started by another
    // version, and that must not pass unnoticed.
    let arguments = match items::arguments(function).next() {
        Some(_) => arguments.clone(),
        None => name("_args"),
    };
    let uses_underscore = items::uses_underscore(function, site);
    let end = finish(function, runtime, &cx, &output);
    quote_spanned! {site=>
        #uses_underscore
        fn __run(#pass: #private::PassHandle) -> #private::BodyFuture {
            ::std::boxed::Box::pin(async move {
                let #cx = #private::context(#pass);
                let #arguments: __Args = #private::arguments(&#cx).await;
                let #output = __body(&#cx, #(#values),*).await;
                #end
            })
        }
    }
}

/// If the return type is unfit, this is one of the places that say so; all of them point at it.
fn finish(function: &Function, runtime: &Runtime, cx: &Ident, output: &Ident) -> TokenStream {
    let site = match &function.signature.output {
        ReturnType::Default => at(function.signature.ident.span()),
        ReturnType::Type(_, ty) => at_first(ty),
    };
    let private = runtime.private(site);
    let mut output = output.clone();
    output.set_span(site);
    quote_spanned!(site=> #private::finish(&#cx, #output))
}

fn registered_name(function: &Function) -> LitStr {
    match &function.options.name {
        Some(name) => name.clone(),
        None => {
            let name = &function.signature.ident;
            LitStr::new(&name.unraw().to_string(), name.span())
        }
    }
}

fn priority(options: &Options) -> Ident {
    let name = match options.priority {
        Some(Priority::High) => "High",
        None | Some(Priority::Normal) => "Normal",
        Some(Priority::Low) => "Low",
    };
    Ident::new(name, Span::mixed_site())
}
