//! Source as a flat run of tokens: macro bodies included, since a rule that stops at `!` is easily dodged.

use proc_macro2::{Delimiter, Group, Ident, Literal, Spacing, TokenStream, TokenTree};

/// A token and the line it is on. Groups stay whole and are followed by what is in them.
pub(crate) struct Token {
    pub(crate) tree: TokenTree,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn ident(&self) -> Option<&Ident> {
        if let TokenTree::Ident(ident) = &self.tree {
            Some(ident)
        } else {
            None
        }
    }

    pub(crate) fn literal(&self) -> Option<&Literal> {
        if let TokenTree::Literal(literal) = &self.tree {
            Some(literal)
        } else {
            None
        }
    }
}

/// Every token of the stream in order, without doc comments.
pub(crate) fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut flat = Vec::new();
    push(stream, &mut flat);
    flat
}

fn push(stream: TokenStream, flat: &mut Vec<Token>) {
    for tree in stream {
        if let TokenTree::Group(group) = &tree
            && is_doc(group)
        {
            continue;
        }
        let inside = if let TokenTree::Group(group) = &tree {
            Some(group.stream())
        } else {
            None
        };
        flat.push(Token {
            line: line(&tree),
            tree,
        });
        push(inside.unwrap_or_default(), flat);
    }
}

fn is_doc(group: &Group) -> bool {
    group.delimiter() == Delimiter::Bracket
        && group
            .stream()
            .into_iter()
            .next()
            .is_some_and(|it| it.to_string() == "doc")
}

/// The line on which a token begins.
pub(crate) fn line(tree: &TokenTree) -> usize {
    tree.span().start().line
}

/// Do two `:` stand at this place?
pub(crate) fn is_path_separator(trees: &[TokenTree], at: usize) -> bool {
    let colon = |it: Option<&TokenTree>, spacing: Option<Spacing>| {
        matches!(it, Some(TokenTree::Punct(punct)) if punct.as_char() == ':'
            && spacing.is_none_or(|spacing| punct.spacing() == spacing))
    };
    colon(trees.get(at), Some(Spacing::Joint)) && colon(trees.get(at + 1), None)
}

/// Is the token at this place the punctuation mark?
pub(crate) fn is_punct(tree: Option<&TokenTree>, mark: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}
