//! Files that cannot be opened: told with the path, who it is that may not, and what helps; never taken for damage.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Nobody, on most systems. Who is root may do anything, and then nothing here would be refused.
const NOBODY: u32 = 65_534;

/// A folder of somebody without rights, who opens what is in it.
struct Stranger {
    folder: TempDir,
    /// What opens; where it was built, a stranger may not look.
    opener: PathBuf,
    uid: u32,
}

impl Stranger {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opener = folder.path().join("opener");
        // By another process: a file that this one has open for writing is inherited by whatever
        // another test starts just then, and cannot be executed for as long ("text file busy").
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_opener"))
            .arg(&opener)
            .status();
        assert!(copied.unwrap().success());
        let own = uid_of(folder.path());
        let uid = if own == 0 { NOBODY } else { own };
        chown(folder.path(), Some(uid), Some(uid)).unwrap();
        set_mode(&opener, 0o755);
        Self {
            folder,
            opener,
            uid,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder of this stranger's.
    fn make_folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        chown(&path, Some(self.uid), Some(self.uid)).unwrap();
        path
    }

    /// A database of this stranger's, closed again.
    fn make_database(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        assert_eq!(self.opens(&path, "worker"), "opened");
        path
    }

    fn opens(&self, url: impl AsRef<std::ffi::OsStr>, role: &str) -> String {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.opener);
        command.arg(url).arg(role).current_dir(self.folder.path());
        command.uid(self.uid).gid(self.uid);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// Refused as out of reach, with the path and these words.
    fn is_kept_from(&self, path: &Path, words: &[&str]) {
        let told = self.opens(path, "worker");
        let begin = format!("Access open: cannot open `{}`: ", path.display());
        assert!(told.starts_with(&begin), "{told}");
        for word in words {
            assert!(told.contains(word), "no {word:?}: {told}");
        }
        assert!(!told.contains("register_worker"), "{told}");
    }

    fn named(&self) -> String {
        format!("uid {}", self.uid)
    }
}

fn uid_of(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().uid()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_missing_folder_is_named_whole_and_is_no_damage() {
    let stranger = Stranger::new();
    let folder = stranger.path("no/such");
    let told = format!(
        "the folder `{}` does not exist; create it",
        folder.display()
    );
    stranger.is_kept_from(&folder.join("a.db"), &[&told]);
    assert!(!folder.exists(), "nothing is made");
}

#[test]
fn a_tilde_is_told_to_be_no_home() {
    let stranger = Stranger::new();
    let told = stranger.opens("sqlite://~/a.db", "worker");
    let path = stranger.path("~/a.db").display().to_string();
    assert!(
        told.starts_with("Access ") && told.contains(&path),
        "{told}"
    );
    assert!(
        told.contains("write the path of the home folder out"),
        "{told}"
    );
}

#[test]
fn a_folder_is_told_from_a_file() {
    let stranger = Stranger::new();
    let folder = stranger.make_folder("data");
    let inside = format!("`sqlite://{}`", folder.join("forge.db").display());
    stranger.is_kept_from(&folder, &["it is a folder", &inside]);
    let file = stranger.path("file");
    fs::write(&file, "").unwrap();
    let told = format!("`{}` is a file, not a folder", file.display());
    stranger.is_kept_from(&file.join("a.db"), &[&told]);
}

#[test]
fn a_folder_that_may_not_be_entered_is_named_with_who_may_not() {
    let stranger = Stranger::new();
    let folder = stranger.make_folder("closed");
    set_mode(&folder, 0o000);
    let told = format!("the folder `{}` may not be entered by", folder.display());
    stranger.is_kept_from(&folder.join("a.db"), &[&told, &stranger.named()]);
    let below = folder.join("deep/a.db");
    stranger.is_kept_from(&below, &[&told, &stranger.named()]);
    set_mode(&folder, 0o700);
}

#[test]
fn a_folder_that_may_not_be_written_is_named_with_who_may_not() {
    let stranger = Stranger::new();
    let folder = stranger.make_folder("fixed");
    let there = stranger.make_database("fixed/there.db");
    set_mode(&folder, 0o500);
    let told = format!("the folder `{}` is read-only for", folder.display());
    stranger.is_kept_from(&folder.join("new.db"), &[&told, &stranger.named()]);
    stranger.is_kept_from(&there, &[&told, &stranger.named()]);
    set_mode(&folder, 0o700);
}

#[test]
fn a_file_that_may_not_be_written_is_refused_to_a_worker_and_not_to_who_looks() {
    let stranger = Stranger::new();
    let path = stranger.make_database("a.db");
    set_mode(&path, 0o400);
    let told = format!("the file `{}` is read-only for", path.display());
    stranger.is_kept_from(
        &path,
        &[&told, &stranger.named(), "a worker has to write it"],
    );
    assert_eq!(stranger.opens(&path, "client"), "opened");
}

#[test]
fn a_file_that_may_not_be_read_is_named_with_who_may_not() {
    let stranger = Stranger::new();
    let path = stranger.make_database("a.db");
    set_mode(&path, 0o000);
    stranger.is_kept_from(&path, &["the file may not be read by", &stranger.named()]);
}

#[test]
fn a_log_of_somebody_else_is_named() {
    let stranger = Stranger::new();
    let path = stranger.make_database("a.db");
    let log = stranger.path("a.db-wal");
    fs::write(&log, "").unwrap();
    set_mode(&log, 0o400);
    let told = format!("`{}` is read-only for", log.display());
    stranger.is_kept_from(&path, &[&told]);
}

#[test]
fn a_device_is_told_from_a_file() {
    let stranger = Stranger::new();
    stranger.is_kept_from(Path::new("/dev/null"), &["it is a device, not a file"]);
}

#[test]
fn a_link_that_leads_nowhere_is_told() {
    let stranger = Stranger::new();
    let link = stranger.path("link.db");
    std::os::unix::fs::symlink(stranger.path("gone/a.db"), &link).unwrap();
    stranger.is_kept_from(&link, &["it is a link to a place that cannot be found"]);
}

#[test]
fn a_text_file_is_told_from_a_database_with_its_path() {
    let stranger = Stranger::new();
    let path = stranger.path("notes.txt");
    fs::write(
        &path,
        "these are notes, and there are many of them. ".repeat(50),
    )
    .unwrap();
    set_mode(&path, 0o666);
    let told = stranger.opens(&path, "worker");
    let begin = format!("Corrupt open: {}: file is not a database; ", path.display());
    assert!(told.starts_with(&begin), "{told}");
    assert!(told.contains("name another file"), "{told}");
}
