//! Whether the linker will find libpq.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set to anything, the build goes on without a look: the linker finds what this does not.
pub(crate) const SKIP: &str = "CHRONO_FORGE_SKIP_LIBPQ_CHECK";

/// Where installations put it that say so nowhere.
pub(crate) const FOLDERS: [&str; 7] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/opt/libpq/lib",
    "/opt/homebrew/lib",
    "/opt/homebrew/opt/libpq/lib",
    "/lib",
];

/// What a linker takes.
const FILES: [&str; 3] = ["libpq.so", "libpq.a", "libpq.dylib"];

/// What lacks, and what helps, if the linker would find no libpq.
pub(crate) fn problem(environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let is_set = |name: &str| environment(name).is_some();
    let target = environment("TARGET").unwrap_or_default();
    // Of another machine, or where the user has said where it is, nothing can be found out here.
    let is_foreign = environment("HOST").is_some_and(|host| host != target);
    let is_told = is_set("PQ_LIB_DIR")
        || is_set(&format!(
            "PQ_LIB_DIR_{}",
            target.replace('-', "_").to_uppercase()
        ));
    let has_flags =
        environment("CARGO_ENCODED_RUSTFLAGS").is_some_and(|flags| flags.contains("-L"));
    if is_foreign
        || is_told
        || has_flags
        || is_set("DOCS_RS")
        || is_set(SKIP)
        || target.contains("windows")
    {
        return None;
    }
    let is_found = is_known_to_pkg_config(environment)
        || folders(environment, &target).iter().any(|it| has_libpq(it));
    (!is_found && !links(environment)).then(|| {
        format!(
            "the feature `postgres` needs libpq and its headers, which are not installed: install the development package \
             (`libpq-dev` on Debian and Ubuntu, `libpq-devel` or `postgresql-devel` on Fedora and SUSE, `libpq` with \
             Homebrew), or take the feature `postgres-bundled`, which builds it from source; {SKIP}=1 builds without this look"
        )
    })
}

fn is_known_to_pkg_config(environment: &dyn Fn(&str) -> Option<String>) -> bool {
    let known = run(environment, "pkg-config", &["--exists", "libpq"]);
    known.is_some()
}

fn folders(environment: &dyn Fn(&str) -> Option<String>, target: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
    // As Debian has it: `x86_64-linux-gnu`.
    let triple = target.replace("-unknown", "");
    folders.push(Path::new("/usr/lib").join(triple));
    let told = environment("LIBRARY_PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&told));
    let told = run(environment, "pg_config", &["--libdir"]);
    folders.extend(told.map(|told| PathBuf::from(told.trim())));
    folders
}

fn has_libpq(folder: &Path) -> bool {
    FILES.iter().any(|file| folder.join(file).exists())
}

/// The last opinion is the linker's own.
fn links(environment: &dyn Fn(&str) -> Option<String>) -> bool {
    let Some(out) = environment("OUT_DIR") else {
        return false;
    };
    let source = Path::new(&out).join("libpq.c");
    if std::fs::write(&source, "int main(void) { return 0; }\n").is_err() {
        return false;
    }
    let program = Path::new(&out).join("libpq");
    let (source, program) = (source.display().to_string(), program.display().to_string());
    run(environment, "cc", &[&source, "-o", &program, "-lpq"]).is_some()
}

/// What it prints, if it succeeds.
fn run(
    environment: &dyn Fn(&str) -> Option<String>,
    program: &str,
    arguments: &[&str],
) -> Option<String> {
    let path = environment("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
