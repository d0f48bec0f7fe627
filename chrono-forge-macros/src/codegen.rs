//! From the model to items. Generates calls, not logic: whatever can be written by hand lives in the
//! runtime's `__private` module, which is all that the output names.

mod attributes;
mod glue;
mod imitation;
mod items;
mod operation;
mod part;
mod render;
mod runtime;

use crate::check::Verdict;
use crate::diagnostics::Report;
use crate::model::Definition;
use attributes::Attributes;
use proc_macro2::TokenStream;
use quote::quote;
use render::Renderer;
use runtime::Runtime;

/// Writes the output: the definition, or as much of it as the verdict allows, and all errors.
pub(crate) fn definition(
    definition: &Definition,
    verdict: Verdict,
    mut report: Report,
) -> TokenStream {
    let output = match definition {
        Definition::Foreign(tokens) => tokens.clone(),
        Definition::Part(function) => {
            let runtime = Runtime::new(&function.options);
            let mut renderer = Renderer::new(&runtime, &function.body, &mut report, verdict);
            part::part(function, verdict, &mut renderer)
        }
        Definition::Workflow(function) => {
            let runtime = Runtime::new(&function.options);
            let attributes = Attributes::sort(&function.attributes);
            let mut renderer = Renderer::new(&runtime, &function.body, &mut report, verdict);
            if verdict.sound {
                let items = items::items(function, &attributes, &runtime);
                let glue = glue::glue(function, &attributes, &runtime, &mut renderer);
                quote!(#items #glue)
            } else {
                imitation::imitation(function, &attributes, &runtime, verdict, &mut renderer)
            }
        }
    };
    let errors = report
        .placed
        .into_values()
        .chain(report.loose)
        .map(|error| error.into_compile_error());
    quote!(#output #(#errors)*)
}
