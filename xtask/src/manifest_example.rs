//! The example `manifest` writes the checksums of a folder's files; `sha256sum` has the last word on them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

pub(crate) const NAME: &str = "manifest";
const FOLDER: &str = "files";
const MANIFEST: &str = "MANIFEST.sha256";
const FILES: [(&str, &str); 3] = [
    ("empty", ""),
    ("with space.txt", "one\n"),
    ("deeper/two.txt", "two\n"),
];

/// Makes a few files and returns the example's arguments: the folder they are in.
pub(crate) fn prepare(scratch: &Path) -> Result<Vec<String>> {
    for (name, text) in FILES {
        let path = scratch.join(FOLDER).join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(vec![FOLDER.to_owned()])
}

/// Finds the manifest in the folder, or beside it, and checks every line of it.
pub(crate) fn verify(scratch: &Path) -> Result<()> {
    let places = [scratch.join(FOLDER), scratch.to_owned()];
    let Some(place) = places.iter().find(|it| it.join(MANIFEST).is_file()) else {
        bail!("{NAME} wrote no {MANIFEST}");
    };
    let text = fs::read_to_string(place.join(MANIFEST))?;
    ensure!(
        text.lines().count() == FILES.len(),
        "{MANIFEST} should have {} lines:\n{text}",
        FILES.len()
    );
    let mut command = Command::new("sha256sum");
    command
        .args(["--check", "--strict", MANIFEST])
        .current_dir(place);
    let status = command.status().context("cannot run sha256sum")?;
    ensure!(status.success(), "sha256sum refuses {MANIFEST}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_or_short_manifest_is_refused() -> Result<()> {
        let scratch = std::env::temp_dir().join(format!("xtask-manifest-{}", std::process::id()));
        prepare(&scratch)?;
        assert!(verify(&scratch).is_err(), "none was written");
        let output = Command::new("sha256sum")
            .args(FILES.map(|(name, _)| name))
            .current_dir(scratch.join(FOLDER))
            .output()?;
        let right = String::from_utf8(output.stdout)?;
        let path = scratch.join(FOLDER).join(MANIFEST);
        fs::write(&path, &right)?;
        verify(&scratch)?;
        fs::write(&path, right.lines().take(2).collect::<Vec<_>>().join("\n"))?;
        assert!(verify(&scratch).is_err(), "a line is missing");
        fs::write(&path, right.replace("e3b0", "e3b1"))?;
        assert!(verify(&scratch).is_err(), "a sum is wrong");
        fs::remove_dir_all(&scratch)?;
        Ok(())
    }
}
