//! Every message, in one place so that they speak with one voice: what is wrong, then the remedy,
//! in the user's own terms.

mod repeat;

pub(crate) use repeat::*;

use crate::model::Kind;

// The attribute and its options.

pub(crate) fn not_a_function(error: &syn::Error) -> String {
    format!(
        "`#[workflow]` stands on an `async fn` with a body: \
         `#[workflow] async fn invoice_run(month: String) -> Result<usize> {{ .. }}` ({error})"
    )
}

pub(crate) fn expected_option() -> String {
    format!("expected an option: {}", list(&crate::parse::OPTION_NAMES))
}

pub(crate) fn expected_comma() -> String {
    "expected `,`".to_owned()
}

pub(crate) fn unknown_workflow_option(name: &str) -> String {
    let names = crate::parse::OPTION_NAMES;
    format!(
        "`#[workflow]` has no option `{name}`{}; its options are {}",
        did_you_mean(name, &names),
        list(&names)
    )
}

pub(crate) fn duplicate_option(name: &str) -> String {
    format!("`{name}` is given twice; keep one")
}

pub(crate) fn option_without_value(name: &str) -> String {
    format!("`{name}` needs a value: write `{name} = ..`")
}

pub(crate) fn option_not_text(name: &str) -> String {
    format!("`{name}` takes a string literal: `{name} = \"..\"`")
}

pub(crate) fn option_with_nul(name: &str) -> String {
    format!("`{name}` may not contain NUL, which no database keeps")
}

pub(crate) fn option_empty(name: &str) -> String {
    format!("`{name}` may not be empty; leave the option out for the default")
}

pub(crate) fn priority_unknown() -> String {
    "the priority is one of the words `high`, `normal` and `low`: `priority = high`".to_owned()
}

pub(crate) fn version_not_a_number() -> String {
    "the version is an integer that fits in `u32`: `version = 2`".to_owned()
}

pub(crate) fn type_not_a_name() -> String {
    "`type` takes the name of the type to generate: `type = InvoiceRun`".to_owned()
}

pub(crate) fn crate_not_a_path() -> String {
    "`crate` takes the path of the library, without quotes: `crate = my_crate::chrono_forge`"
        .to_owned()
}

pub(crate) fn part_takes_no_value() -> String {
    "`part` takes no value: write `#[workflow(part)]`".to_owned()
}

pub(crate) fn option_on_part(name: &str) -> String {
    format!(
        "a part is not registered, so it has no `{name}`; \
         put the option on the `#[workflow]` that calls it"
    )
}

// The signature.

pub(crate) fn not_async() -> String {
    "a workflow is an `async fn`: write `async fn`".to_owned()
}

pub(crate) fn receiver() -> String {
    "a workflow is a free function: its arguments are stored, and `self` cannot be. \
     Move it out of the `impl` and take `State<Self>`, or make it a `#[workflow(part)]`"
        .to_owned()
}

pub(crate) fn generics() -> String {
    "a workflow cannot be generic: it is registered once, under one name. \
     Use concrete types, or move the generic code to a `#[workflow(part)]`"
        .to_owned()
}

pub(crate) fn modifier(word: &str) -> String {
    format!("a workflow cannot be `{word}`; remove it")
}

pub(crate) fn variadic() -> String {
    "a workflow cannot be variadic; take a `Vec`".to_owned()
}

pub(crate) fn pattern() -> String {
    "an argument is stored under its name: write one identifier here and take the value apart \
     with `let` in the body"
        .to_owned()
}

pub(crate) fn reference(owned: &str) -> String {
    format!("arguments are stored with the run, so they must be owned: take `{owned}`")
}

pub(crate) fn borrowed_inside() -> String {
    "arguments are stored with the run, so they cannot borrow: use an owned type here".to_owned()
}

pub(crate) fn impl_trait() -> String {
    "an argument needs one concrete type, because it is decoded from storage; \
     name the type instead of `impl Trait`"
        .to_owned()
}

pub(crate) fn second_context() -> String {
    "a run has one `Context`; use the first and remove this one".to_owned()
}

pub(crate) fn state_without_type() -> String {
    "say which state: `State<Mailer>`".to_owned()
}

pub(crate) fn serde_on_injected(name: &str) -> String {
    format!("`{name}` is handed in by the engine and not stored; remove the `#[serde]` attribute")
}

pub(crate) fn plain_return(ty: &str) -> String {
    format!("a workflow returns `Result<{ty}>` or nothing: write `-> Result<{ty}>`")
}

pub(crate) fn text_error() -> String {
    "a plain text is no error type; return `Result<..>`, which is `Result<_, anyhow::Error>`, and \
     make errors with `anyhow!(\"..\")`, or derive an error type with `thiserror`"
        .to_owned()
}

pub(crate) fn boxed_error() -> String {
    "`Box<dyn Error>` does not convert into `anyhow::Error`; return `Result<..>`, which is \
     `Result<_, anyhow::Error>`, or an error type made with `thiserror`"
        .to_owned()
}

pub(crate) fn impl_return() -> String {
    "a workflow's output is stored, so it needs one concrete type: write `-> Result<T>`".to_owned()
}

pub(crate) fn part_without_context() -> String {
    "the first parameter of a part is the caller's context: `cx: &Context`".to_owned()
}

pub(crate) fn part_not_async() -> String {
    "a part is an `async fn`: write `async fn`".to_owned()
}

// The grammar of the vocabulary.

pub(crate) fn reserved(name: &str) -> String {
    format!("`{name}!` is reserved for a later version of chrono-forge")
}

pub(crate) fn empty_argument() -> String {
    "there is nothing before this comma; remove it".to_owned()
}

pub(crate) fn unknown_option(kind: Kind, option: &str) -> String {
    let name = kind.name();
    match kind.options() {
        [] => format!("`{name}!` has no options, so no `{option}`"),
        options => format!(
            "`{name}!` has no option `{option}`{}; it takes {}",
            did_you_mean(option, options),
            list(options)
        ),
    }
}

pub(crate) fn option_after_body(kind: Kind, option: &str) -> String {
    format!(
        "options stand before the body of `{}!`: move `{option} = ..` to the front of it",
        kind.name()
    )
}

pub(crate) fn key_after_option(kind: Kind) -> String {
    format!("the key comes first: `{}!(\"key\", ..)`", kind.name())
}

pub(crate) fn key_missing(kind: Kind) -> String {
    format!(
        "`{}!` needs a key first, as in `{}`",
        kind.name(),
        kind.example()
    )
}

pub(crate) fn body_missing(kind: Kind) -> String {
    format!(
        "the body of `{}!` is missing; write it last, as in `{}`",
        kind.name(),
        kind.example()
    )
}

pub(crate) fn too_many_arguments(kind: Kind) -> String {
    format!(
        "`{}!` takes nothing after its body, as in `{}`",
        kind.name(),
        kind.example()
    )
}

pub(crate) fn duration_and_instant() -> String {
    "`wait!` takes a duration or `until = instant`, not both; remove one".to_owned()
}

pub(crate) fn key_not_derivable(kind: Kind) -> String {
    format!(
        "only a call has a name to take as the key; write one first: `{}!(\"key\", ..)`",
        kind.name()
    )
}

pub(crate) fn awaited_body(kind: Kind) -> String {
    format!(
        "`{}!` awaits its body itself; remove this `.await`",
        kind.name()
    )
}

pub(crate) fn closure_body(kind: Kind) -> String {
    format!(
        "the body of `{}!` is not a closure; write the call itself, as in `{}`",
        kind.name(),
        kind.example()
    )
}

pub(crate) fn automerge_not_literal() -> String {
    "`automerge` is `true` or `false`, because it decides the branch's type".to_owned()
}

pub(crate) fn branch_not_a_block() -> String {
    format!(
        "the body of `branch!` is a block that ends in its value: `{}`",
        Kind::Branch.example()
    )
}

pub(crate) fn children_not_a_closure() -> String {
    format!(
        "the last argument of `spawn_each!` is a closure written in place: `{}`",
        Kind::SpawnEach.example()
    )
}

pub(crate) fn children_closure_arguments() -> String {
    "this closure takes one argument, the item; for several values take a tuple: `|(a, b)| ..`"
        .to_owned()
}

pub(crate) fn children_closure_modifiers() -> String {
    "write this closure without `async` and `move`: it may use `.await` as it is, and it runs once \
     for each item, so it borrows"
        .to_owned()
}

pub(crate) fn children_closure_return_type() -> String {
    "leave out the return type: the closure ends in an invocation, such as `send_invoice(c)`"
        .to_owned()
}

pub(crate) fn merge_of_nothing() -> String {
    "say what to join: `merge!(handle)` or `merge!(\"name\")`".to_owned()
}

// Keys.

pub(crate) fn empty_key(kind: Kind) -> String {
    format!(
        "a key may not be empty, since the record is found again by it; say what happens here, as \
         in `{}`",
        kind.example()
    )
}

pub(crate) fn blank_key(kind: Kind) -> String {
    format!(
        "a key may not be blank, since nobody can tell it from another one; say what happens here, \
         as in `{}`",
        kind.example()
    )
}

pub(crate) fn nul_in_key() -> String {
    "a key may not contain NUL, which not every database can store; use `-`".to_owned()
}

pub(crate) fn long_key(bytes: usize, bytes_max: usize) -> String {
    format!(
        "a key has at most {bytes_max} bytes here, and this one has {bytes}; write a shorter one, \
         and pass what it says as a value"
    )
}

pub(crate) fn dollar_in_key() -> String {
    "a key may not contain `$`, which separates the parts of stored keys; use `-`".to_owned()
}

pub(crate) fn comma_in_branch_name() -> String {
    "a branch name may not contain `,`, which separates the names of a merge; use `-`".to_owned()
}

pub(crate) fn unnamed_capture() -> String {
    "a key captures variables by name: write `{name}`, or `{{` and `}}` for braces; for anything \
     longer pass an expression, such as `format!(..)`"
        .to_owned()
}

pub(crate) fn duplicate_key(kind: Kind, key: &str, first: Kind, by_default: bool) -> String {
    let source = match by_default {
        true => "by default, after the function that it calls",
        false => "already",
    };
    format!(
        "the key \"{key}\" is used twice on one path: an earlier `{}!` has it {source}. \
         One key is one operation; give this one its own: `{}!(\"{key}-2\", ..)`",
        first.name(),
        kind.name()
    )
}

pub(crate) fn constant_key_in_loop(kind: Kind, key: &str) -> String {
    let name = kind.name();
    format!(
        "in a loop every round would have the key \"{key}\", and one key is one operation; \
         put the loop variable into the key: `{name}!(\"{key}-{{i}}\", ..)`"
    )
}

// Where operations may stand.

pub(crate) fn operation_in_attempt(kind: Kind, outer: Kind) -> String {
    let remedy = match outer {
        Kind::Repeat => {
            "A tick is recorded as one; for several operations start a workflow of its own in it: \
             `forge.start(..)`"
        }
        _ => "Move it before or after, and pass the value in",
    };
    format!(
        "`{}!` inside the body of `{}!`: that body does not run on a replay, so nothing in it can \
         be durable. {remedy}",
        kind.name(),
        outer.name()
    )
}

pub(crate) fn operation_in_branch(kind: Kind) -> String {
    format!(
        "`{}!` inside a branch block: the block only starts children and must not wait. \
         Move it out of the block, or into a child workflow",
        kind.name()
    )
}

pub(crate) fn spawn_outside_branch(kind: Kind) -> String {
    format!(
        "`{name}!` belongs in a branch block, which is what is joined later: \
         `branch!(\"name\", {{ {name}!(..) }})`",
        name = kind.name()
    )
}

pub(crate) fn spawn_in_children(kind: Kind) -> String {
    format!(
        "the closure of `spawn_each!` returns the invocation to start; \
         remove the `{}!` around it",
        kind.name()
    )
}

pub(crate) fn spawn_suffix(kind: Kind, suffix: &str) -> String {
    format!(
        "remove this `{suffix}`: `{}!` is complete as it is and cannot fail here, since an error \
         in the block is retried as a whole",
        kind.name()
    )
}

pub(crate) fn outer_change(name: &str, kind: Kind) -> String {
    let (place, instead) = match kind {
        Kind::Branch => ("a branch block", "end the block in the value"),
        Kind::SpawnEach => ("the closure of `spawn_each!`", "compute it from the item"),
        Kind::Repeat => (
            "a tick",
            "keep it in the run's context: `cx.set(\"name\", &value)`",
        ),
        _ => ("a step body", "return the value from the body"),
    };
    format!(
        "{place} cannot change `{name}`, which is declared outside of it: it does not run on a \
         replay, so the change would be lost. Instead, {instead}"
    )
}

pub(crate) fn return_in_branch() -> String {
    "`return` inside a branch block: the block ends in its value, and on a replay it does not run. \
     Return after the branch"
        .to_owned()
}

pub(crate) fn return_in_children() -> String {
    "`return` in the closure of `spawn_each!`: end the closure in the invocation, as in \
     `if small(&c) { send_small(c) } else { send_large(c) }`"
        .to_owned()
}

pub(crate) fn jump_out_of_branch(word: &str) -> String {
    format!(
        "`{word}` out of a branch block: the block does not run on a replay. \
         End the block in a value and `{word}` after the branch"
    )
}

pub(crate) fn never_merged(name: &str) -> String {
    format!(
        "the branch \"{name}\" is never joined: keep its handle and `merge!(handle)`, or \
         `merge!(\"{name}\")`, or open it with `automerge = true`"
    )
}

pub(crate) fn unknown_branch(name: &str) -> String {
    format!(
        "no branch of the name \"{name}\" is opened in this workflow; merge the handle that \
         `branch!` returned, or correct the name"
    )
}

/// `` `a`, `b` and `c` ``.
fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A hint at the name that was probably meant, if one is close.
fn did_you_mean(written: &str, names: &[&str]) -> String {
    let closest = names.iter().min_by_key(|name| distance(written, name));
    match closest {
        Some(name) if distance(written, name) <= 2.min(written.len().saturating_sub(1)) => {
            format!(" (did you mean `{name}`?)")
        }
        _ => String::new(),
    }
}

/// How many letters must change to turn one word into the other, whatever their case.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let substituted = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
