//! The files below a directory in the order of their paths' bytes, from any place in that order.
//!
//! The order makes the walk resumable: a page's cursor is the last path in it. Memory holds the
//! listings of the directories on the way down, not the tree.

use std::fs::{self, FileType};
use std::io;
use std::vec;

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::output::Own;

/// What the walk came upon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Found {
    File(Name),
    /// A directory that could not be listed, or not to its end, and why.
    Unlisted(Name, String),
}

pub(crate) struct Walk {
    /// Directories that are being listed, the deepest last.
    levels: Vec<Level>,
    /// Everything up to this key was found before.
    after: Option<Name>,
    /// What this example itself writes, and the directory that it writes it to.
    own: Option<(Vec<u8>, Own)>,
}

struct Level {
    /// The directory's path with a slash at its end.
    prefix: Vec<u8>,
    entries: vec::IntoIter<Entry>,
}

/// Its key is its name; a directory's ends in the slash that its files' paths have there.
struct Entry {
    key: Vec<u8>,
    is_directory: bool,
    problem: Option<String>,
}

impl Walk {
    /// From behind `after`, or from the start. Paths begin with `root` as it is given. `own` are
    /// files to leave out, with the path below `root` of their directory.
    pub(crate) fn new(root: &Name, own: Option<(Name, Own)>, after: Option<Name>) -> Self {
        let mut prefix = root.bytes().to_vec();
        if !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        let own = own.map(|(below, own)| {
            let mut path = prefix.clone();
            path.extend_from_slice(below.bytes());
            if !path.ends_with(b"/") {
                path.push(b'/');
            }
            (path, own)
        });
        let root = Entry {
            key: prefix,
            is_directory: true,
            problem: None,
        };
        let top = Level {
            prefix: Vec::new(),
            entries: vec![root].into_iter(),
        };
        Self {
            levels: vec![top],
            after,
            own,
        }
    }

    /// The next `of` finds and, unless they are the last, the key to go on from.
    pub(crate) fn page(&mut self, of: usize) -> (Vec<Found>, Option<Name>) {
        let mut last = None;
        let mut page = Vec::new();
        for (key, found) in self.by_ref().take(of) {
            last = Some(key);
            page.push(found);
        }
        let next = last.filter(|_| page.len() == of);
        (page, next)
    }

    fn was_passed(&self, key: &[u8]) -> bool {
        self.after.as_ref().is_some_and(|it| key <= it.bytes())
    }

    /// Lists a directory and goes down into it.
    fn enter(&mut self, prefix: Vec<u8>) -> Option<(Name, Found)> {
        let own = self.own.as_ref();
        let own = own.filter(|(path, _)| *path == prefix).map(|it| &it.1);
        let (mut entries, problem) = list(&prefix, own);
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let passed = self.was_passed(&prefix);
        let found = problem.filter(|_| !passed).map(|problem| {
            let mut path = prefix.clone();
            path.pop();
            let found = Found::Unlisted(Name::new(path), problem.to_string());
            (Name::new(prefix.clone()), found)
        });
        let entries = entries.into_iter();
        self.levels.push(Level { prefix, entries });
        found
    }
}

impl Iterator for Walk {
    type Item = (Name, Found);

    fn next(&mut self) -> Option<(Name, Found)> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(entry) = level.entries.next() else {
                self.levels.pop();
                continue;
            };
            let mut path = level.prefix.clone();
            path.extend_from_slice(&entry.key);
            let is_inside = |after: &Name| entry.is_directory && after.bytes().starts_with(&path);
            if self.was_passed(&path) && !self.after.as_ref().is_some_and(is_inside) {
                continue;
            }
            let name = Name::new(path);
            if let Some(problem) = entry.problem {
                return Some((name.clone(), Found::Unlisted(name, problem)));
            }
            if !entry.is_directory {
                return Some((name.clone(), Found::File(name)));
            }
            if let Some(found) = self.enter(name.bytes().to_vec()) {
                return Some(found);
            }
        }
    }
}

/// The regular files and directories of a directory, and what kept it from listing more.
fn list(prefix: &[u8], own: Option<&Own>) -> (Vec<Entry>, Option<io::Error>) {
    let listing = match fs::read_dir(Name::new(prefix.to_vec()).to_os()) {
        Ok(listing) => listing,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut entries = Vec::new();
    for entry in listing {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return (entries, Some(error)),
        };
        let name = entry.file_name();
        if own.is_some_and(|own| own.has(&name)) {
            continue;
        }
        let mut key = Name::of(&name).bytes().to_vec();
        let kind = entry.file_type();
        let is_directory = kind.as_ref().is_ok_and(FileType::is_dir);
        if is_directory {
            key.push(b'/');
        } else if kind.as_ref().is_ok_and(|it| !it.is_file()) {
            // Links would be listed twice or lead in circles; pipes and devices have no end.
            continue;
        }
        let problem = kind.err().map(|error| error.to_string());
        entries.push(Entry {
            key,
            is_directory,
            problem,
        });
    }
    (entries, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> (tempfile::TempDir, Name) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let root = Name::of(folder.path());
        (folder, root)
    }

    fn all(root: &Name, after: Option<Name>, of: usize) -> Vec<Found> {
        let (mut found, mut after) = (Vec::new(), after);
        loop {
            // A walk of its own for each page, as after a crash.
            let (page, next) = Walk::new(root, None, after).page(of);
            found.extend(page);
            let Some(next) = next else { return found };
            after = Some(next);
        }
    }

    #[test]
    fn pages_of_any_size_give_the_sorted_paths() {
        let files = [
            "a/z",
            "a/b/c",
            "a.txt",
            "a b",
            "a0",
            "z",
            "a/b.c",
            "empty/deep/er/x",
        ];
        let (_folder, root) = tree(&files);
        let mut sorted: Vec<Name> = files
            .map(|it| Name::new([root.bytes(), b"/", it.as_bytes()].concat()))
            .to_vec();
        sorted.sort();
        let sorted: Vec<Found> = sorted.into_iter().map(Found::File).collect();
        for of in 1..=9 {
            assert_eq!(all(&root, None, of), sorted, "pages of {of}");
        }
    }

    #[test]
    fn a_cursor_whose_file_and_folder_are_gone_still_leads_on() {
        let (_folder, root) = tree(&["a", "c/d"]);
        let after = Name::new([root.bytes(), b"/b/gone"].concat());
        let left = Found::File(Name::new([root.bytes(), b"/c/d"].concat()));
        assert_eq!(all(&root, Some(after), 1), [left]);
    }

    #[test]
    fn a_directory_that_cannot_be_listed_is_told_once() {
        let (_folder, root) = tree(&["a"]);
        let missing = Name::new([root.bytes(), b"/missing"].concat());
        let found = all(&missing, None, 1);
        assert!(matches!(&found[..], [Found::Unlisted(name, _)] if *name == missing));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_own_files_are_left_out() {
        let (folder, root) = tree(&[
            "in/m",
            "in/m.db",
            "in/m.db-wal",
            "in/m.dbx",
            "m",
            "in/m.db-worker-7.lock",
        ]);
        std::os::unix::fs::symlink("m", folder.path().join("link")).unwrap();
        let own = Some((Name::of("in"), Own::new("m".as_ref())));
        let (page, _) = Walk::new(&root, own, None).page(10);
        let expected = [b"/in/m.dbx".as_slice(), b"/m"];
        assert_eq!(
            page,
            expected.map(|it| Found::File(Name::new([root.bytes(), it].concat())))
        );
    }
}
