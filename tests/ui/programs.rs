//! Programs that must compile without a warning. They are modules of one crate, since linking a
//! binary for each would take minutes and show no more.

#[path = "branch/pass/borrows-and-moves.rs"]
mod branch_borrows_and_moves;
#[path = "branch/pass/in-a-loop.rs"]
mod branch_in_a_loop;
#[path = "branch/pass/values.rs"]
mod branch_values;
#[path = "part/pass/generic.rs"]
mod part_generic;
#[path = "part/pass/method.rs"]
mod part_method;
#[path = "part/pass/spawns-for-its-caller.rs"]
mod part_spawns_for_its_caller;
#[path = "repeat/pass/bodies.rs"]
mod repeat_bodies;
#[path = "repeat/pass/hygiene.rs"]
mod repeat_hygiene;
#[path = "repeat/pass/options.rs"]
mod repeat_options;
#[path = "spawn_each/pass/closures.rs"]
mod spawn_each_closures;
#[path = "spawn_each/pass/sources.rs"]
mod spawn_each_sources;
#[path = "step/pass/bodies.rs"]
mod step_bodies;
#[path = "step/pass/delimiters.rs"]
mod step_delimiters;
#[path = "step/pass/in-the-arguments-of-other-macros.rs"]
mod step_in_the_arguments_of_other_macros;
#[path = "step/pass/keys.rs"]
mod step_keys;
#[path = "step/pass/retries.rs"]
mod step_retries;
#[path = "wait/pass/forms.rs"]
mod wait_forms;
#[path = "wait_until/pass/forms.rs"]
mod wait_until_forms;
#[path = "workflow/pass/arguments.rs"]
mod workflow_arguments;
#[path = "workflow/pass/attributes.rs"]
mod workflow_attributes;
#[path = "workflow/pass/defined-by-a-macro.rs"]
mod workflow_defined_by_a_macro;
#[path = "workflow/pass/defined-in-a-function.rs"]
mod workflow_defined_in_a_function;
#[path = "workflow/pass/hygiene-our-variable-names.rs"]
mod workflow_hygiene_our_variable_names;
#[path = "workflow/pass/hygiene-shadowed-names.rs"]
mod workflow_hygiene_shadowed_names;
#[path = "workflow/pass/invoice-run.rs"]
mod workflow_invoice_run;
#[path = "workflow/pass/keys.rs"]
mod workflow_keys;
#[path = "workflow/pass/nested-items-are-left-alone.rs"]
mod workflow_nested_items_are_left_alone;
#[path = "workflow/pass/options.rs"]
mod workflow_options;
#[path = "workflow/pass/recursive.rs"]
mod workflow_recursive;
#[path = "workflow/pass/renamed-path.rs"]
mod workflow_renamed_path;
#[path = "workflow/pass/returns.rs"]
mod workflow_returns;
#[path = "workflow/pass/type-option.rs"]
mod workflow_type_option;

/// What is not listed above is not compiled.
#[test]
fn every_program_is_listed() {
    let listed = include_str!("programs.rs");
    let folders = std::fs::read_dir("ui").expect("tests run in their package");
    let programs = folders.flat_map(|folder| {
        let path = folder.expect("it can be read").path().join("pass");
        std::fs::read_dir(path).into_iter().flatten()
    });
    let mut count = 0;
    for program in programs {
        let path = program.expect("it can be read").path();
        let path = path.strip_prefix("ui").expect("it is in it").display();
        assert!(listed.contains(&format!("\"{path}\"")), "{path} is not");
        count += 1;
    }
    assert!(count > 0, "there are some");
}
