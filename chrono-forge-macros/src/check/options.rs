//! Rules on the values of options that several operations have, or that are words.

use super::nesting::operation;
use super::site::Site;
use crate::diagnostics;
use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::parse::on_error_word;
use syn::Expr;
use syn::Lit;

/// A list of policies, of which the first match decides, needs one that can match.
pub(super) fn check_retry_list(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    for value in values(site, body, "retry") {
        if matches!(value, Expr::Array(list) if list.elems.is_empty()) {
            diagnostics.at_tokens(site.id, value, diagnostics::retry_empty());
        }
    }
}

/// `on_error` takes a word, where any other expression of the type is as good. What cannot be one is
/// told here, because the compiler would speak of a name that was never declared.
pub(super) fn check_on_error(site: &Site, body: &Body, diagnostics: &mut Diagnostics) {
    for value in values(site, body, "on_error") {
        let written = match value {
            _ if on_error_word(value).is_some() => continue,
            Expr::Path(path) => match path.path.get_ident() {
                Some(word) if is_word(&word.to_string()) => word.to_string(),
                _ => continue,
            },
            Expr::Continue(_) => "continue".to_owned(),
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => text.value(),
                _ => String::new(),
            },
            _ => continue,
        };
        diagnostics.at_tokens(site.id, value, diagnostics::on_error_unknown(&written));
    }
}

/// Neither a variable nor a constant, unless the user's names are unusual; those are in capitals.
fn is_word(name: &str) -> bool {
    name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase)
}

fn values<'a>(site: &Site, body: &'a Body, name: &str) -> impl Iterator<Item = &'a Expr> {
    let operation = operation(site, body).into_iter();
    operation
        .flat_map(|operation| &operation.options)
        .filter_map(move |(other, value)| (other == name).then_some(value))
}
