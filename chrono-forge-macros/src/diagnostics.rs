//! The collector of errors; [`messages`] holds the words of all of them.

mod messages;

pub(crate) use messages::*;

use crate::model::OperationId;
use proc_macro2::Span;
use quote::ToTokens;
use std::collections::BTreeMap;

/// Collects errors through all stages. Dropping it without [`Diagnostics::finish`] is a bug, which
/// would let an invalid definition compile; the drop panics.
pub(crate) struct Diagnostics {
    report: Option<Report>,
}

/// Errors by the place where they are emitted.
#[derive(Default)]
pub(crate) struct Report {
    /// The first error of an operation stands where the operation stood. There its type is "error",
    /// which keeps the compiler from complaining about everything around it.
    pub(crate) placed: BTreeMap<OperationId, syn::Error>,
    /// All others become items beside the definition.
    pub(crate) loose: Vec<syn::Error>,
}

impl Diagnostics {
    pub(crate) fn new() -> Self {
        Self {
            report: Some(Report::default()),
        }
    }

    /// An error of the definition.
    pub(crate) fn loose(&mut self, span: Span, message: String) {
        self.syntax(syn::Error::new(span, message));
    }

    /// An error of the definition, under all of `tokens`.
    pub(crate) fn loose_tokens(&mut self, tokens: &impl ToTokens, message: String) {
        self.syntax(syn::Error::new_spanned(tokens, message));
    }

    /// An error that a parser found.
    pub(crate) fn syntax(&mut self, errors: syn::Error) {
        if let Some(report) = &mut self.report {
            report.loose.extend(errors);
        }
    }

    /// An error of one operation.
    pub(crate) fn at(&mut self, id: OperationId, span: Span, message: String) {
        self.at_syntax(id, syn::Error::new(span, message));
    }

    /// An error of one operation, under all of `tokens`.
    pub(crate) fn at_tokens(&mut self, id: OperationId, tokens: &impl ToTokens, message: String) {
        self.at_syntax(id, syn::Error::new_spanned(tokens, message));
    }

    /// An error of one operation that a parser found.
    pub(crate) fn at_syntax(&mut self, id: OperationId, errors: syn::Error) {
        let Some(report) = &mut self.report else {
            return;
        };
        for error in errors {
            if let std::collections::btree_map::Entry::Vacant(place) = report.placed.entry(id) {
                place.insert(error);
            } else {
                report.loose.push(error);
            }
        }
    }

    /// How many errors there are outside of operations.
    pub(crate) fn loose_count(&self) -> usize {
        self.report.as_ref().map_or(0, |report| report.loose.len())
    }

    /// Hands the errors over for emission.
    pub(crate) fn finish(mut self) -> Report {
        self.report.take().unwrap_or_default()
    }
}

impl Drop for Diagnostics {
    fn drop(&mut self) {
        if self.report.is_some() && !std::thread::panicking() {
            panic!("diagnostics were collected and never emitted");
        }
    }
}
