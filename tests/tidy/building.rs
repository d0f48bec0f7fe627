//! What a build says that cannot succeed.

use std::path::Path;

#[path = "../../chrono-forge-runtime/build/libpq.rs"]
mod libpq;

/// A machine of this kind, on which no program is found.
fn told(more: &[(&str, &str)]) -> Option<String> {
    let bare = [
        ("TARGET", "none-such-here"),
        ("HOST", "none-such-here"),
        ("PATH", "/none"),
    ];
    let look = |name: &str| {
        let found = more.iter().chain(&bare).find(|(given, _)| *given == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    libpq::problem(&look)
}

#[test]
fn a_build_without_libpq_names_the_packages_before_anything_is_linked() {
    // Systems that have it in a folder of no particular machine cannot lack it.
    let has = |folder: &&str| {
        ["libpq.so", "libpq.a"]
            .iter()
            .any(|file| Path::new(folder).join(file).exists())
    };
    let is_there = libpq::FOLDERS.iter().any(has);
    assert_eq!(told(&[]).is_none(), is_there);
    if let Some(problem) = told(&[]) {
        for word in [
            "libpq-dev",
            "postgresql-devel",
            "`postgres-bundled`",
            libpq::SKIP,
        ] {
            assert!(problem.contains(word), "no {word}: {problem}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libpq.so"), "").unwrap();
    let there = folder.path().display().to_string();
    for said in [
        ("LIBRARY_PATH", &*there),
        ("PQ_LIB_DIR", "/somewhere"),
        ("CARGO_ENCODED_RUSTFLAGS", "-L/somewhere"),
        ("HOST", "another-machine"),
        (libpq::SKIP, "1"),
    ] {
        assert_eq!(told(&[said]), None, "{said:?}");
    }
}
