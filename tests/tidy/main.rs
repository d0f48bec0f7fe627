//! The house rules that a machine can check; see CONTRIBUTING.md.
//!
//! One rule a module, each with `check(..) -> Vec<Complaint>` and tests that feed it a violation. No rule
//! has a list of exceptions.

mod architecture;
mod building;
mod complaint;
mod dead_files;
mod floors;
mod house;
mod imports;
mod links;
mod manifests;
mod marks;
mod migrations;
mod names;
mod size;
mod sql;
mod tokens;

use complaint::Complaint;
use house::House;

#[test]
fn files_and_functions_are_small() {
    none(size::check(&House::load().sources));
}

#[test]
fn imports_point_down() {
    none(imports::check(&House::load().sources));
}

#[test]
fn sql_lives_in_the_store() {
    none(sql::check(&House::load().sources));
}

#[test]
fn links_lead_somewhere() {
    none(links::check(&House::load()));
}

#[test]
fn manifests_give_reasons_and_keep_the_macros_apart() {
    none(manifests::check(&House::load()));
}

#[test]
fn migrations_are_twins() {
    none(migrations::check(&House::load().files));
}

#[test]
fn nothing_is_marked_unfinished() {
    none(marks::check(&House::load().sources));
}

#[test]
fn files_are_named_after_what_is_in_them() {
    none(names::check(&House::load().files));
}

#[test]
fn no_file_is_dead() {
    none(dead_files::check(&House::load()));
}

#[test]
fn architecture_names_paths_that_exist() {
    let house = House::load();
    match house.read("ARCHITECTURE.md") {
        Some(page) => none(architecture::check(&page, &house.files)),
        None => println!("skipped: ARCHITECTURE.md is not there yet"),
    }
}

/// Fails with every complaint at once, so that one run shows all there is to do.
fn none(complaints: Vec<Complaint>) {
    let list: Vec<String> = complaints.iter().map(Complaint::to_string).collect();
    assert!(
        list.is_empty(),
        "{} to mend:\n{}",
        list.len(),
        list.join("\n")
    );
}
