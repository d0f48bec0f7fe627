//! The rules, one `check_*` function each. They read the model and report; none stops another.

mod assignments;
mod jumps;
mod keys;
mod merges;
mod nesting;
mod parameters;
mod part;
mod paths;
mod returns;
mod signature;
mod site;
mod walk;

pub(crate) use part::part_context;

use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Definition;
use crate::model::Function;

/// What code generation needs to know about the errors.
#[derive(Clone, Copy)]
pub(crate) struct Verdict {
    /// Whether everything outside the body's operations is in order. If not, the definition cannot
    /// be generated and is only imitated.
    pub(crate) sound: bool,
}

/// Applies every rule.
pub(crate) fn definition(definition: &Definition, diagnostics: &mut Diagnostics) -> Verdict {
    let parsed = match definition {
        Definition::Foreign(_) => return Verdict { sound: false },
        Definition::Workflow(function) | Definition::Part(function) => {
            function.body.syntax.is_some()
        }
    };
    let before = diagnostics.loose_count();
    match definition {
        Definition::Workflow(function) => workflow_signature(function, diagnostics),
        Definition::Part(function) => part::check_part(function, diagnostics),
        Definition::Foreign(_) => {}
    }
    let sound = parsed && diagnostics.loose_count() == before;
    match definition {
        Definition::Workflow(function) => {
            body(&function.body, diagnostics);
            nesting::check_spawn_outside_branch(&function.body, diagnostics);
            merges::check_merges(function, diagnostics);
        }
        Definition::Part(function) => body(&function.body, diagnostics),
        Definition::Foreign(_) => {}
    }
    Verdict { sound }
}

fn workflow_signature(function: &Function, diagnostics: &mut Diagnostics) {
    let signature = &function.signature;
    signature::check_async(signature, diagnostics);
    signature::check_modifiers(signature, diagnostics);
    signature::check_generics(signature, diagnostics);
    signature::check_receiver(signature, diagnostics);
    parameters::check_patterns(signature, diagnostics);
    parameters::check_types(function, diagnostics);
    parameters::check_one_context(function, diagnostics);
    parameters::check_injected(function, diagnostics);
    returns::check_return_type(signature, diagnostics);
}

/// The rules that hold in workflows and parts alike.
fn body(body: &Body, diagnostics: &mut Diagnostics) {
    let sites = site::sites(body);
    for site in &sites {
        nesting::check_operation_in_attempt(site, body, diagnostics);
        nesting::check_operation_in_branch(site, body, diagnostics);
        nesting::check_spawn_in_children(site, body, diagnostics);
        nesting::check_spawn_suffix(site, body, diagnostics);
        keys::check_characters(site, body, diagnostics);
        keys::check_captures(site, body, diagnostics);
        keys::check_constant_key_in_loop(site, body, diagnostics);
    }
    paths::check_duplicate_keys(body, diagnostics);
    assignments::check_outer_changes(body, diagnostics);
    jumps::check_jumps(body, diagnostics);
}
