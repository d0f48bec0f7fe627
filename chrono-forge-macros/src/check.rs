//! The rules, one `check_*` function each. They read the model and report; none stops another.

mod assignments;
mod interval;
mod jumps;
mod keys;
mod merges;
mod nesting;
mod options;
mod parameters;
mod part;
mod paths;
mod returns;
mod schedule;
mod signature;
mod site;
mod walk;

pub(crate) use part::part_context;

use crate::diagnostics::Diagnostics;
use crate::model::Body;
use crate::model::Definition;
use crate::model::Function;
use site::Site;

/// What code generation needs to know about the errors.
#[derive(Clone, Copy)]
pub(crate) struct Verdict {
    /// Whether everything outside the body's operations is in order. If not, the definition cannot
    /// be generated and is only imitated.
    pub(crate) sound: bool,
    /// Whether the return type is in order.
    pub(crate) sound_return: bool,
}

/// Applies every rule.
pub(crate) fn definition(definition: &Definition, diagnostics: &mut Diagnostics) -> Verdict {
    match definition {
        Definition::Workflow(function) => workflow(function, diagnostics),
        Definition::Part(function) => part(function, diagnostics),
        Definition::Foreign(_) => Verdict {
            sound: false,
            sound_return: false,
        },
    }
}

fn workflow(function: &Function, diagnostics: &mut Diagnostics) -> Verdict {
    let before = diagnostics.loose_count();
    returns::check_return_type(&function.signature, diagnostics);
    let sound_return = diagnostics.loose_count() == before;
    workflow_signature(function, diagnostics);
    let sound_signature = diagnostics.loose_count() == before;
    let sites = site::sites(&function.body);
    body(&function.body, &sites, diagnostics);
    for site in &sites {
        nesting::check_spawn_outside_branch(site, &function.body, diagnostics);
    }
    merges::check_merges(function, diagnostics);
    Verdict {
        sound: sound_signature && function.body.syntax.is_some(),
        sound_return,
    }
}

fn part(function: &Function, diagnostics: &mut Diagnostics) -> Verdict {
    let before = diagnostics.loose_count();
    part::check_part(function, diagnostics);
    let sound_signature = diagnostics.loose_count() == before;
    body(&function.body, &site::sites(&function.body), diagnostics);
    Verdict {
        sound: sound_signature && function.body.syntax.is_some(),
        sound_return: true,
    }
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
}

/// The rules that hold in workflows and parts alike.
fn body(body: &Body, sites: &[Site], diagnostics: &mut Diagnostics) {
    for site in sites {
        nesting::check_operation_in_attempt(site, body, diagnostics);
        nesting::check_operation_in_branch(site, body, diagnostics);
        nesting::check_spawn_in_children(site, body, diagnostics);
        nesting::check_spawn_suffix(site, body, diagnostics);
        keys::check_content(site, body, diagnostics);
        keys::check_characters(site, body, diagnostics);
        keys::check_captures(site, body, diagnostics);
        keys::check_constant_key_in_loop(site, body, diagnostics);
        options::check_retry_list(site, body, diagnostics);
        options::check_on_error(site, body, diagnostics);
        schedule::check_one_schedule(site, body, diagnostics);
        schedule::check_interval(site, body, diagnostics);
        schedule::check_cron(site, body, diagnostics);
        schedule::check_zone(site, body, diagnostics);
        schedule::check_zone_of_duration(site, body, diagnostics);
    }
    paths::check_duplicate_keys(body, diagnostics);
    assignments::check_outer_changes(body, diagnostics);
    jumps::check_jumps(body, diagnostics);
}
