//! The `#[workflow]` attribute: a small compiler from an annotated `async fn` to calls into the
//! runtime.
//!
//! Use it through `chrono-forge`, where it is documented and its examples are compiled. This
//! crate knows no database and no engine: it reads a function (`parse`), keeps it as plain data
//! (`model`), applies the rules of the vocabulary (`check`) and writes items that name the
//! runtime only through `chrono_forge::__private` (`codegen`).
//!
//! Rules cannot look into what other macros expand to, nor into functions that the body calls.
//! Whatever is in doubt here is left to the run time, which repeats every check that matters.

mod check;
mod codegen;
mod diagnostics;
mod expand;
mod model;
mod parse;
#[cfg(test)]
mod tests;

/// Makes an `async fn` durable; documented on its re-export, `chrono_forge::workflow`.
#[proc_macro_attribute]
pub fn workflow(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand::workflow(options.into(), item.into()).into()
}
