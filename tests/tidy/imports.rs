//! Arrows point down: a room of the runtime uses only rooms below it, so that a change above never
//! reaches what lies under it.

use proc_macro2::{TokenStream, TokenTree};

use crate::complaint::Complaint;
use crate::floors::{GROUND, below};
use crate::house::Source;
use crate::tokens::{is_path_separator, is_punct, line};

const ROOMS: &str = "chrono-forge-runtime/src/";

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Complaint> {
    let Some(path) = source
        .path
        .strip_prefix(ROOMS)
        .and_then(|it| it.strip_suffix(".rs"))
    else {
        return Vec::new();
    };
    // The root only lists the rooms, and tests may look anywhere.
    if path == "lib" || source.is_test() {
        return Vec::new();
    }
    let module: Vec<String> = path.split('/').map(str::to_owned).collect();
    let room = module[0].clone();
    let Some(below) = below(&room) else {
        let problem = format!("room `{room}` has no floor");
        return vec![Complaint::new(
            &source.path,
            1,
            problem,
            "place it in tests/tidy/floors.rs and ARCHITECTURE.md",
        )];
    };
    let mut uses = Vec::new();
    find_uses(source.shipped(), &module, &mut uses);
    uses.iter()
        .filter_map(|used| judge(source, &room, below, used))
        .collect()
}

fn judge(source: &Source, room: &str, rooms_below: &[&str], used: &Use) -> Option<Complaint> {
    let Use { head, line } = used;
    if head == room || rooms_below.contains(&head.as_str()) {
        return None;
    }
    if head.starts_with(char::is_uppercase) {
        let problem = format!("`crate::{head}` hides which room `{head}` comes from");
        return Some(Complaint::new(
            &source.path,
            *line,
            problem,
            "name it by its own module",
        ));
    }
    if GROUND.contains(&head.as_str()) {
        return None;
    }
    // What is no room is a macro, which `#[macro_export]` puts at the root.
    below(head)?;
    let problem = format!("`{room}` uses `{head}`, which is not below it");
    let remedy =
        format!("move what is shared down to the ground floor, or let `{head}` call `{room}`");
    Some(Complaint::new(&source.path, *line, problem, remedy))
}

/// A path into the crate: its first segment below the root.
struct Use {
    head: String,
    line: usize,
}

/// Finds `crate::head`, `crate::{head, ..}` and as many `super::` as lead to the root, in imports, inline
/// paths and macro bodies alike.
fn find_uses(stream: TokenStream, module: &[String], uses: &mut Vec<Use>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        match &trees[at] {
            TokenTree::Group(group) => {
                let inner = inline_module(&trees, at).map(|name| [module, &[name]].concat());
                find_uses(group.stream(), inner.as_deref().unwrap_or(module), uses);
            }
            TokenTree::Ident(ident) if ident == "crate" && is_path_separator(&trees, at + 1) => {
                heads(trees.get(at + 3), uses);
            }
            TokenTree::Ident(ident) if ident == "super" && is_path_separator(&trees, at + 1) => {
                let mut depth = 1;
                while is_ident(trees.get(at + 3), "super") && is_path_separator(&trees, at + 4) {
                    depth += 1;
                    at += 3;
                }
                if depth == module.len() {
                    heads(trees.get(at + 3), uses);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The name of the module whose braces stand at this place.
fn inline_module(trees: &[TokenTree], at: usize) -> Option<String> {
    let name = trees.get(at.checked_sub(1)?)?;
    let is_module = is_ident(trees.get(at.checked_sub(2)?), "mod");
    is_module.then(|| name.to_string())
}

fn is_ident(tree: Option<&TokenTree>, name: &str) -> bool {
    matches!(tree, Some(TokenTree::Ident(ident)) if ident == name)
}

/// One segment, or the first segment of each branch of a group.
fn heads(tree: Option<&TokenTree>, uses: &mut Vec<Use>) {
    match tree {
        Some(TokenTree::Ident(ident)) if ident != "self" => {
            uses.push(Use {
                head: ident.to_string(),
                line: ident.span().start().line,
            });
        }
        Some(TokenTree::Group(group)) => {
            let mut starts = true;
            for tree in group.stream() {
                if starts {
                    heads(Some(&tree), uses);
                }
                starts = is_punct(Some(&tree), ',');
            }
        }
        Some(tree) if is_punct(Some(tree), '*') => uses.push(Use {
            head: "Everything".to_owned(),
            line: line(tree),
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    fn found(file: &str, text: &str) -> Vec<String> {
        let path = format!("{ROOMS}{file}");
        let complaints = check(&[Source::new(&path, text)]);
        places(&complaints)
            .iter()
            .map(|it| it.replace(&path, ""))
            .collect()
    }

    #[test]
    fn a_room_may_use_what_is_below_and_the_ground() {
        let text = "use crate::{commit::Plan, record::RunId, engine::pass};\nuse super::registry;\nuse super::super::store;";
        assert!(found("engine/pass.rs", text).is_empty());
        assert!(found("lib.rs", "pub use crate::engine::Forge;").is_empty());
    }

    #[test]
    fn an_arrow_upwards_is_found_in_every_spelling() {
        assert_eq!(found("store.rs", "use crate::commit::Plan;"), [":1"]);
        assert_eq!(
            found(
                "commit/batch.rs",
                "use crate::{\n  record::RunId,\n  engine::{Pass, self},\n};"
            ),
            [":3"]
        );
        assert_eq!(
            found(
                "store/sqlite/claim.rs",
                "fn f() {\n  crate::engine::go();\n}"
            ),
            [":2"]
        );
        assert_eq!(
            found("store/sqlite.rs", "use super::super::engine::Pass;"),
            [":1"]
        );
        assert_eq!(
            found(
                "store/sqlite.rs",
                "mod inner {\n  use super::super::super::commit;\n}"
            ),
            [":2"]
        );
        assert_eq!(
            found(
                "store.rs",
                "macro_rules! m { () => { $crate::commit::go() } }"
            ),
            [":1"]
        );
        assert_eq!(
            found("store.rs", "fn f() { assert!(vec![crate::engine::GO]); }"),
            [":1"]
        );
    }

    #[test]
    fn context_may_not_name_the_store() {
        assert_eq!(found("context/step.rs", "use crate::store::Store;"), [":1"]);
    }

    #[test]
    fn the_ground_floor_uses_only_itself() {
        assert_eq!(
            found(
                "retry.rs",
                "use crate::record::RunId;\nuse crate::store::Store;"
            ),
            [":2"]
        );
    }

    #[test]
    fn a_detour_through_the_root_is_found() {
        assert_eq!(found("store.rs", "use crate::Forge;"), [":1"]);
        assert_eq!(found("store.rs", "use crate::*;"), [":1"]);
    }

    #[test]
    fn a_room_without_a_floor_is_found() {
        assert_eq!(found("attic/box.rs", ""), [":1"]);
    }

    #[test]
    fn tests_and_exported_macros_are_free() {
        assert!(
            found(
                "store.rs",
                "#[cfg(test)] mod tests { use crate::engine::Pass; }"
            )
            .is_empty()
        );
        assert!(found("store/tests.rs", "use crate::engine::Pass;").is_empty());
        assert!(found("store.rs", "fn f() { crate::failpoint!(\"here\"); }").is_empty());
    }
}
