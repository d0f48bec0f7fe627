//! One function, one test a backend: `name::sqlite` and `name::postgres`.
//!
//! A test that cannot run is ignored with its reason, so that the runner names it: PostgreSQL without a
//! server, or what a backend does not have.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, ItemFn, LitInt, LitStr, Token};

/// A scenario: `async fn name(world: &World)`, in a world of its own on each backend.
///
/// `threads = 2` gives its runtime so many; `sqlite_only = "why"` names what only a file has, `postgres_only` what only
/// a server.
#[proc_macro_attribute]
pub fn scenario(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(options, item, |name, backend, threads| {
        quote! {
            ::chrono_forge_tests::scenario::play(#backend, #threads, super::#name);
        }
    })
}

/// Any other test: `fn name(backend: Backend)`, which makes its own databases.
///
/// Takes the options of [`macro@scenario`]; an `async fn` has a runtime of so many threads.
#[proc_macro_attribute]
pub fn backends(options: TokenStream, item: TokenStream) -> TokenStream {
    let is_async = syn::parse::<ItemFn>(item.clone()).is_ok_and(|it| it.sig.asyncness.is_some());
    expand(options, item, |name, backend, threads| {
        if is_async {
            quote!(::chrono_forge_tests::backend::play(#backend, #threads, super::#name);)
        } else {
            quote!(::chrono_forge_tests::backend::run(#backend, super::#name);)
        }
    })
}

/// Ignored tests say this: the one remedy for all of them.
const NO_SERVER: &str = "needs --features postgres and CHRONO_FORGE_TEST_POSTGRES_URL";

fn expand(
    options: TokenStream,
    item: TokenStream,
    body: impl Fn(&Ident, Tokens, usize) -> Tokens,
) -> TokenStream {
    let options = match syn::parse::<Options>(options) {
        Ok(options) => options,
        Err(error) => return error.to_compile_error().into(),
    };
    let item = match syn::parse::<ItemFn>(item) {
        Ok(item) => item,
        Err(error) => return error.to_compile_error().into(),
    };
    let name = &item.sig.ident;
    let backend = quote!(::chrono_forge_tests::backend::Backend);
    let sqlite = body(name, quote!(#backend::Sqlite), options.threads);
    let postgres = body(name, quote!(#backend::Postgres), options.threads);
    let ignored = match options.sqlite_only {
        Some(why) => quote!(#[ignore = #why]),
        // Set by the build script, since a test cannot be ignored once it runs.
        None => quote!(#[cfg_attr(not(postgres_under_test), ignore = #NO_SERVER)]),
    };
    let ignored_on_file = options.postgres_only.map(|why| quote!(#[ignore = #why]));
    quote! {
        #item

        mod #name {
            #[test]
            #ignored_on_file
            fn sqlite() {
                #sqlite
            }

            #[test]
            #ignored
            fn postgres() {
                #postgres
            }
        }
    }
    .into()
}

/// What the attribute is told.
struct Options {
    threads: usize,
    /// As the ignored test says it.
    sqlite_only: Option<String>,
    postgres_only: Option<String>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self {
            threads: 1,
            sqlite_only: None,
            postgres_only: None,
        };
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            if name == "threads" {
                options.threads = input.parse::<LitInt>()?.base10_parse()?;
            } else if name == "sqlite_only" {
                let why: LitStr = input.parse()?;
                options.sqlite_only = Some(format!("SQLite only: {}", why.value()));
            } else if name == "postgres_only" {
                let why: LitStr = input.parse()?;
                options.postgres_only = Some(format!("PostgreSQL only: {}", why.value()));
            } else {
                let message = "the options are `threads`, `sqlite_only` and `postgres_only`";
                return Err(syn::Error::new(name.span(), message));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}
