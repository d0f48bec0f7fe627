//! Small rooms: a file or a function that outgrows its limit holds two things that want two names.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

use crate::complaint::Complaint;
use crate::house::Source;
use crate::tokens::{is_punct, line};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// The limit above allows the odd large file; this one keeps the usual file small.
const RUNTIME_MEDIAN_LINES_MAX: usize = 150;
const RUNTIME: &str = "chrono-forge-runtime/src/";

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints: Vec<Complaint> = sources.iter().flat_map(check_source).collect();
    complaints.extend(check_median(sources));
    complaints
}

fn check_source(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let lines = source.lines();
    if lines > FILE_LINES_MAX {
        let problem = format!("the file has {lines} lines, the limit is {FILE_LINES_MAX}");
        let remedy = "split it by what changes together, into `name.rs` and a folder `name/`";
        complaints.push(Complaint::new(
            &source.path,
            FILE_LINES_MAX + 1,
            problem,
            remedy,
        ));
    }
    find_functions(source.syntax.to_token_stream(), &mut |function| {
        let lines = function.last - function.first + 1;
        if lines > FUNCTION_LINES_MAX {
            let problem = format!(
                "`{}` has {lines} lines, the limit is {FUNCTION_LINES_MAX}",
                function.name
            );
            let remedy = "name its stages and give each a function";
            complaints.push(Complaint::new(
                &source.path,
                function.first,
                problem,
                remedy,
            ));
        }
    });
    complaints
}

fn check_median(sources: &[Source]) -> Option<Complaint> {
    let mut rooms: Vec<_> = sources
        .iter()
        .filter(|it| it.path.starts_with(RUNTIME))
        .collect();
    rooms.sort_by_key(|it| it.lines());
    let median = rooms.get(rooms.len() / 2)?;
    (median.lines() > RUNTIME_MEDIAN_LINES_MAX).then(|| {
        let problem = format!(
            "half of the runtime's files have {} lines or more, the limit of the median is {RUNTIME_MEDIAN_LINES_MAX}",
            median.lines(),
        );
        Complaint::new(&median.path, 1, problem, "split the largest rooms")
    })
}

struct Function {
    name: String,
    first: usize,
    last: usize,
}

/// Finds `fn name .. { .. }` by its tokens, and so also inside macros. The lines run from the `fn` to the
/// closing brace: documentation and attributes are free.
fn find_functions(stream: TokenStream, found: &mut impl FnMut(Function)) {
    let mut open: Option<(String, usize)> = None;
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match &tree {
            // A name follows, unless this is the type of a function pointer.
            TokenTree::Ident(ident) if ident == "fn" => {
                if let Some(TokenTree::Ident(name)) = trees.peek() {
                    open = Some((name.to_string(), line(&tree)));
                }
            }
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Brace
                    && let Some((name, first)) = open.take()
                {
                    found(Function {
                        name,
                        first,
                        last: group.span_close().end().line,
                    });
                }
                find_functions(group.stream(), found);
            }
            // A declaration in a trait has no body.
            _ if is_punct(Some(&tree), ';') => open = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    fn long(lines: usize) -> String {
        "    work();\n".repeat(lines)
    }

    #[test]
    fn a_long_file_is_found() {
        let sources = [
            Source::new("a.rs", &"// line\n".repeat(500)),
            Source::new("b.rs", &"// line\n".repeat(501)),
        ];
        assert_eq!(places(&check(&sources)), ["b.rs:501"]);
    }

    #[test]
    fn a_long_function_is_found_wherever_it_stands() {
        let text = format!(
            "fn fits() {{\n{}}}\n/// Docs.\nfn long() -> fn() {{\n{}}}\ntrait T {{ fn none(&self);\nfn long() {{\n{}}} }}",
            long(68),
            long(69),
            long(69),
        );
        assert_eq!(
            places(&check(&[Source::new("a.rs", &text)])),
            ["a.rs:72", "a.rs:144"]
        );
        let text = format!("make! {{ async fn long() {{\n{}}} }}", long(69));
        assert_eq!(places(&check(&[Source::new("a.rs", &text)])), ["a.rs:1"]);
    }

    #[test]
    fn a_runtime_of_large_files_is_found() {
        let source =
            |name, lines| Source::new(&format!("{RUNTIME}{name}.rs"), &"// line\n".repeat(lines));
        let sources = [
            source("small", 10),
            source("large", 151),
            source("larger", 200),
        ];
        assert_eq!(places(&check(&sources)), [format!("{RUNTIME}large.rs:1")]);
    }
}
