//! One operation as a call into the runtime.

use super::runtime::Runtime;
use super::runtime::at;
use super::runtime::at_first;
use super::runtime::context;
use crate::model::Attempt;
use crate::model::Children;
use crate::model::Handle;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Operation;
use crate::model::Repetition;
use crate::model::Work;
use crate::parse::on_error_word;
use proc_macro2::Ident;
use proc_macro2::Span;
use proc_macro2::TokenStream;
use quote::ToTokens;
use quote::quote_spanned;
use syn::Block;
use syn::Expr;

/// The expression that takes the operation's place. Operations inside it are still markers.
pub(super) fn operation(operation: &Operation, runtime: &Runtime) -> TokenStream {
    let site = at(operation.name.span());
    let call = Call {
        runtime,
        private: runtime.private(site),
        site,
        operation,
    };
    match &operation.work {
        Work::Attempt(attempt) => call.attempt(&call.body(attempt)),
        Work::Repetition(repetition) => call.repeat(repetition),
        Work::Duration(duration) => call.wait("wait", duration),
        Work::Instant(instant) => call.wait("wait_instant", instant),
        Work::Branch { block, automerge } => call.branch(block, *automerge),
        Work::Child(child) => call.spawn(child),
        Work::Children(children) => call.spawn_each(children),
        Work::Handles(handles) => call.merge(handles),
    }
}

struct Call<'a> {
    runtime: &'a Runtime,
    private: TokenStream,
    /// The macro's name.
    site: Span,
    operation: &'a Operation,
}

impl Call<'_> {
    fn attempt(&self, body: &TokenStream) -> TokenStream {
        let (private, cx, key) = (&self.private, context(), self.key());
        let (function, options) = match self.operation.kind {
            Kind::WaitUntil => ("wait_until", "WaitUntilOptions"),
            Kind::ContinueIf => ("continue_if", "ContinueIfOptions"),
            _ => ("step", "StepOptions"),
        };
        let function = Ident::new(function, self.site);
        let options = self.options(options);
        quote_spanned!(self.site=> #private::#function(#cx, #key, #options, #body))
    }

    fn repeat(&self, repetition: &Repetition) -> TokenStream {
        let (private, cx, key) = (&self.private, context(), self.key());
        let options = self.options("RepeatOptions");
        let until = self.body(&repetition.until);
        let task = self.task(repetition);
        quote_spanned!(self.site=> #private::repeat(#cx, #key, #options, #until, #task))
    }

    /// The tick is read from the attempt that is polled: a closure that took it as an argument could
    /// not return a future that borrows outer variables.
    fn task(&self, repetition: &Repetition) -> TokenStream {
        let Repetition { tick, task, .. } = repetition;
        let at_tick = at_first(tick);
        let private = self.runtime.private(at_tick);
        let tick = quote_spanned!(at_tick=> let #tick = #private::tick(););
        match task {
            Attempt::Future(future) => {
                let site = at_first(future);
                let awaited = Self::awaited(future);
                match owns(future) {
                    true => quote_spanned!(site=> move || async move { #tick #awaited }),
                    false => quote_spanned!(site=> || async { #tick #awaited }),
                }
            }
            Attempt::Block(block) => {
                let block = Self::block(block);
                let site = at_first(&block);
                self.anyhow_block(&quote_spanned!(site=> { #tick #block }))
            }
        }
    }

    fn wait(&self, function: &str, end: &Expr) -> TokenStream {
        let (private, cx, key) = (&self.private, context(), self.key());
        let function = Ident::new(function, self.site);
        quote_spanned!(self.site=> #private::#function(#cx, #key, #end))
    }

    /// The closure is `FnOnce + Clone` and not `move`: a retry runs a copy of it, a source can be
    /// moved in, and a change to an outer variable does not compile.
    fn branch(&self, block: &Block, automerge: bool) -> TokenStream {
        let (private, cx, key) = (&self.private, context(), self.key());
        let name = if automerge {
            "branch_automerge"
        } else {
            "branch"
        };
        let function = Ident::new(name, self.site);
        let options = self.options("BranchOptions");
        let block = Self::block(block);
        let site = at_first(&block);
        let value = quote_spanned!(site=> { ::core::result::Result::Ok(#block) });
        let body = self.anyhow_block(&value);
        quote_spanned!(self.site=> #private::#function(#cx, #key, #options, #body))
    }

    fn spawn(&self, child: &Expr) -> TokenStream {
        let (private, cx, key) = (&self.private, context(), self.key());
        quote_spanned!(self.site=> #private::spawn(#cx, #key, #child).await)
    }

    /// The item reaches the closure through a slot: a closure that took it as an argument could not
    /// return a future that borrows the item and outer variables alike.
    fn spawn_each(&self, children: &Children) -> TokenStream {
        let Children {
            source,
            item,
            child,
        } = children;
        let (private, cx, key) = (&self.private, context(), self.key());
        let options = self.options("SpawnEachOptions");
        let slot = Ident::new("__slot", Span::mixed_site());
        let body = self.anyhow_block(&quote_spanned!(at_first(child)=> {
            let #item = #slot.take();
            ::core::result::Result::Ok(#child)
        }));
        quote_spanned!(self.site=> {
            let #slot = #private::slot();
            #private::spawn_each(#cx, #key, #options, #source, &#slot, #body).await
        })
    }

    fn merge(&self, handles: &[Handle]) -> TokenStream {
        let (private, cx) = (&self.private, context());
        let handles: Vec<TokenStream> = handles.iter().map(|handle| self.handle(handle)).collect();
        match handles.as_slice() {
            [one] => quote_spanned!(self.site=> #private::merge(#cx, #one)),
            several => quote_spanned!(self.site=> #private::merge(#cx, (#(#several),*))),
        }
    }

    fn handle(&self, handle: &Handle) -> TokenStream {
        let private = &self.private;
        match handle {
            Handle::Value(value) => value.to_token_stream(),
            Handle::Named(name) => {
                let text = self.text(name);
                quote_spanned!(self.site=> #private::named(#text))
            }
        }
    }

    fn key(&self) -> TokenStream {
        let private = &self.private;
        let text = self.operation.key.as_ref().map(|key| self.text(key));
        quote_spanned!(self.site=> #private::key(#text))
    }

    /// What a key says, as an expression.
    fn text(&self, key: &Key) -> TokenStream {
        match key {
            Key::Literal(literal) => literal.to_token_stream(),
            Key::Format(literal) => quote_spanned!(self.site=> ::std::format!(#literal)),
            Key::Value(value) => value.to_token_stream(),
            Key::Default { text, .. } => text.to_token_stream(),
        }
    }

    /// One setter per option, under the user's name, so that a wrong type is shown there.
    fn options(&self, of: &str) -> TokenStream {
        let private = &self.private;
        let of = Ident::new(of, self.site);
        let setters = self.operation.options.iter().map(|(name, value)| {
            let value = self.option_value(name, value);
            quote_spanned!(self.site=> .#name(#value))
        });
        quote_spanned!(self.site=> #private::#of::new() #(#setters)*)
    }

    /// What was written, but for the bare words of `on_error`, which need no import.
    fn option_value(&self, option: &Ident, value: &Expr) -> TokenStream {
        match on_error_word(value) {
            Some(word) if option == "on_error" => {
                let private = self.runtime.private(at(word.span()));
                quote_spanned!(at(word.span())=> #private::OnError::#word)
            }
            _ => value.to_token_stream(),
        }
    }

    /// The user's statements in braces of ours: lints about braces take them for generated then.
    fn block(block: &Block) -> TokenStream {
        let statements = &block.stmts;
        quote_spanned!(at(block.brace_token.span.join())=> { #(#statements)* })
    }

    /// A closure around a block whose `?` converts any error into an `anyhow::Error`.
    fn anyhow_block(&self, block: &TokenStream) -> TokenStream {
        let site = at_first(block);
        let private = self.runtime.private(site);
        quote_spanned!(site=> || #private::anyhow_block(async #block))
    }

    /// A closure around what runs later.
    fn body(&self, attempt: &Attempt) -> TokenStream {
        match attempt {
            Attempt::Future(future) => Self::future(future),
            Attempt::Block(block) => self.anyhow_block(&Self::block(block)),
        }
    }

    /// A closure around an expression that is awaited as written.
    ///
    /// `async move` says that the body owns what it names, as it must where the operation outlives a
    /// loop variable; so the closure must own it too. It still is an `Fn`: what is not `Copy` is cloned
    /// before, or borrowed.
    fn future(future: &Expr) -> TokenStream {
        let site = at_first(future);
        if owns(future) {
            return quote_spanned!(site=> move || #future);
        }
        let awaited = Self::awaited(future);
        quote_spanned!(site=> || async { #awaited })
    }

    fn awaited(future: &Expr) -> TokenStream {
        let site = at_first(future);
        let binds_tightly = matches!(
            future,
            Expr::Call(_) | Expr::MethodCall(_) | Expr::Macro(_) | Expr::Path(_) | Expr::Paren(_)
        );
        match binds_tightly {
            true => quote_spanned!(site=> #future.await),
            false => quote_spanned!(site=> (#future).await),
        }
    }
}

/// `async move { .. }`.
fn owns(future: &Expr) -> bool {
    matches!(future, Expr::Async(block) if block.capture.is_some())
}
