//! Files are named after what is in them: a drawer called `util` is where a missing room hides.

use crate::complaint::Complaint;

const DRAWERS: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

pub(crate) fn check(files: &[String]) -> Vec<Complaint> {
    files.iter().filter_map(|path| check_path(path)).collect()
}

fn check_path(path: &str) -> Option<Complaint> {
    let stem = path.strip_suffix(".rs")?;
    let (folder, _) = stem.rsplit_once('/').unwrap_or(("", stem));
    if stem.rsplit('/').next() == Some("mod") {
        return Some(Complaint::new(
            path,
            1,
            "`mod.rs` does not say which module it is",
            format!("move it to `{folder}.rs`"),
        ));
    }
    let drawer = stem.split('/').find(|part| DRAWERS.contains(part))?;
    Some(Complaint::new(
        path,
        1,
        format!("`{drawer}` does not say what is in it"),
        "name it after what it holds",
    ))
}

#[test]
fn drawers_and_mod_files_are_found() {
    let files = [
        "a/src/store.rs",
        "a/src/store/mod.rs",
        "a/src/util.rs",
        "a/tests/common/db.rs",
        "docs/common.md",
    ];
    let complaints = check(&files.map(str::to_owned));
    assert_eq!(
        crate::complaint::places(&complaints),
        [
            "a/src/store/mod.rs:1",
            "a/src/util.rs:1",
            "a/tests/common/db.rs:1"
        ]
    );
    assert!(
        complaints[0]
            .to_string()
            .contains("move it to `a/src/store.rs`")
    );
}
