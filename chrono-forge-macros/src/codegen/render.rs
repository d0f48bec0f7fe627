//! Puts operations back where their markers stand.

use super::operation;
use super::runtime::Runtime;
use crate::check::Verdict;
use crate::diagnostics::Report;
use crate::model::Body;
use crate::model::OperationId;
use crate::parse::marker_index;
use proc_macro2::Delimiter;
use proc_macro2::Group;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;

/// Renders the tokens of one body.
pub(super) struct Renderer<'a> {
    pub(super) runtime: &'a Runtime,
    body: &'a Body,
    report: &'a mut Report,
    verdict: Verdict,
}

impl<'a> Renderer<'a> {
    pub(super) fn new(
        runtime: &'a Runtime,
        body: &'a Body,
        report: &'a mut Report,
        verdict: Verdict,
    ) -> Self {
        Self {
            runtime,
            body,
            report,
            verdict,
        }
    }

    /// The body in its braces, with `prologue` before its first statement.
    pub(super) fn block(&mut self, prologue: &TokenStream) -> TokenTree {
        let mut content = prologue.clone();
        content.extend(self.tokens(self.body.tokens.clone()));
        let mut block = Group::new(Delimiter::Brace, content);
        block.set_span(self.body.braces.join());
        TokenTree::Group(block)
    }

    /// Something of the type "error" that reports what is wrong with the definition. The compiler
    /// shows equal errors once, so it may stand in many places.
    pub(super) fn error(&self) -> TokenStream {
        let first = self.report.loose.first();
        first.map_or_else(TokenStream::new, syn::Error::to_compile_error)
    }

    /// `tokens` with every marker replaced, at any depth.
    pub(super) fn tokens(&mut self, tokens: TokenStream) -> TokenStream {
        self.replaced(tokens.clone()).unwrap_or(tokens)
    }

    /// The same, or `None` without a marker. A rebuilt group has lost the places of its delimiters, so
    /// it replaces only what it must.
    fn replaced(&mut self, tokens: TokenStream) -> Option<TokenStream> {
        let input: Vec<TokenTree> = tokens.into_iter().collect();
        let mut output = TokenStream::new();
        let mut changed = false;
        let mut place = 0;
        while let Some(token) = input.get(place) {
            if let Some(id) = marker_index(&input[place..]) {
                output.extend(self.operation(id));
                changed = true;
                place += 3;
                continue;
            }
            let replaced = match token {
                TokenTree::Group(group) => self.replaced_group(group),
                _ => None,
            };
            changed |= replaced.is_some();
            output.extend([replaced.unwrap_or_else(|| token.clone())]);
            place += 1;
        }
        changed.then_some(output)
    }

    fn replaced_group(&mut self, group: &Group) -> Option<TokenTree> {
        let content = self.replaced(group.stream())?;
        let mut replaced = Group::new(group.delimiter(), content);
        replaced.set_span(group.span());
        Some(TokenTree::Group(replaced))
    }

    fn operation(&mut self, id: OperationId) -> TokenStream {
        if let Some(error) = self.report.placed.remove(&id) {
            return error.into_compile_error();
        }
        let operation = self.body.operations.get(id).and_then(Option::as_ref);
        match operation {
            Some(operation) if self.verdict.sound => {
                let call = operation::operation(operation, self.runtime);
                self.tokens(call)
            }
            _ => self.error(),
        }
    }
}
