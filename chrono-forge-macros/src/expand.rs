//! The pipeline, on tokens that also exist outside the compiler.

use crate::check;
use crate::codegen;
use crate::diagnostics::Diagnostics;
use crate::parse;
use proc_macro2::TokenStream;

/// Parse, check, generate. The model does not change after the first line.
///
/// An error never suppresses the output: the user's item is always emitted, as complete as it can
/// be, because editors and follow-on errors depend on it.
pub(crate) fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::new();
    let definition = parse::definition(options, item, &mut diagnostics);
    let verdict = check::definition(&definition, &mut diagnostics);
    codegen::definition(&definition, verdict, diagnostics.finish())
}
