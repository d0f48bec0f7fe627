//! Nothing is marked unfinished: what is not done belongs into an issue, not into the house.

use proc_macro2::{Delimiter, TokenTree};
use quote::ToTokens;

use crate::complaint::Complaint;
use crate::house::Source;
use crate::tokens::{Token, flatten, is_punct};

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Complaint> {
    let tokens = flatten(source.syntax.to_token_stream());
    let complain = |token: &Token, problem: String, remedy: &str| {
        Complaint::new(&source.path, token.line, problem, remedy)
    };
    tokens
        .windows(2)
        .filter_map(|pair| match pair {
            [mark, bang] if is_mark(mark) && is_punct(Some(&bang.tree), '!') => Some(complain(
                mark,
                format!("`{}!` is left over", mark.tree),
                "finish it or remove it",
            )),
            [hash, brackets] if is_punct(Some(&hash.tree), '#') && is_bare_ignore(brackets) => {
                let remedy = "write `#[ignore = \"the reason\"]`, or mend the test";
                Some(complain(
                    hash,
                    "a test is ignored without a reason".to_owned(),
                    remedy,
                ))
            }
            _ => None,
        })
        .collect()
}

fn is_mark(token: &Token) -> bool {
    token
        .ident()
        .is_some_and(|it| it == "todo" || it == "unimplemented" || it == "dbg")
}

fn is_bare_ignore(token: &Token) -> bool {
    matches!(&token.tree, TokenTree::Group(group)
        if group.delimiter() == Delimiter::Bracket && group.stream().to_string() == "ignore")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    #[test]
    fn marks_are_found_in_code_and_in_macros() {
        let text = "fn a() { todo!() }\nfn b() { vec![dbg!(1)]; }\nfn c() {\n  std::unimplemented!()\n}\n#[test]\n#[ignore]\nfn d() {}";
        assert_eq!(
            places(&check(&[Source::new("a.rs", text)])),
            ["a.rs:1", "a.rs:2", "a.rs:4", "a.rs:7"]
        );
    }

    #[test]
    fn a_reason_a_name_and_prose_are_fine() {
        let text =
            "#[ignore = \"needs a server\"] fn todo() { f(\"todo!\"); let dbg = 1; } // todo!()";
        assert!(check(&[Source::new("a.rs", text)]).is_empty());
    }
}
