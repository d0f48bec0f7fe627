//! The durable part: what to work on, the fan-out, a file.

use std::path::PathBuf;
use std::sync::Arc;

use chrono_forge::prelude::*;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::session::Session;
use crate::walk::{Found, Walk};

/// Files found, and dispatched as children, per transaction.
const PAGE: usize = 1_000;
/// Unreadable files named in the result, which must stay small; all of them are counted.
const NAMED_MAX: usize = 100;

/// What a state file is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// As the user gave it; the manifest's paths begin with it.
    pub(crate) directory: Name,
    /// The same for any working directory.
    pub(crate) absolute: Name,
}

impl Job {
    pub(crate) fn new(directory: Name, absolute: PathBuf) -> Self {
        let absolute = Name::of(&absolute);
        Self {
            directory,
            absolute,
        }
    }
}

/// A file's checksum, or why there is none. An unreadable file is an outcome, not a failure: the
/// step succeeds with it and is not retried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Sum {
    Sha256(String),
    Unreadable(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Digest {
    pub(crate) file: Name,
    pub(crate) sum: Sum,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) files: u64,
    pub(crate) unreadable: u64,
    /// Some of those, with the reasons.
    pub(crate) named: Vec<(Name, String)>,
}

/// The job that was asked for first under a key: a second start with the key returns the run that
/// exists and changes nothing.
#[workflow]
pub(crate) async fn job(asked: Job) -> Result<Job> {
    Ok(asked)
}

/// One child per file. The page's cursor is stored in the transaction that inserts the page's
/// children: however often this is cut off, each file is found once and hashed by one child.
#[workflow]
pub(crate) async fn manifest(session: State<Session>, directory: Name) -> Result<Summary> {
    let files = step!("count", session.count(&directory)).await?;
    session.progress.expect(files);

    let digests = branch!("files", {
        // Kept between pages; after a crash the first page begins a walk behind the cursor.
        let walk: Arc<std::sync::Mutex<Option<Walk>>> = Arc::default();
        let pages = pages(|after: Option<Name>| {
            let (session, directory) = (session.clone(), directory.clone());
            let walk = Arc::clone(&walk);
            async move { session.page(walk, directory, after, PAGE).await }
        });
        spawn_each!("file", pages, |found| digest(found))
    })
    .await?;

    let digests = Arc::new(merge!(digests).await?.collect().await?);
    // Until it succeeds: the disk may be full, but the work is done.
    let write = RetryPolicy::new().unlimited();
    step!("write", retry = write, session.write(&digests)).await?;
    Ok(summary(&digests))
}

/// A queue of its own bounds how many files are read at the same time.
#[workflow(queue = "files")]
pub(crate) async fn digest(session: State<Session>, found: Found) -> Result<Digest> {
    match found {
        Found::File(file) => {
            let sum = step!("sha256", session.digest(&file)).await?;
            Ok(Digest { file, sum })
        }
        Found::Unlisted(file, problem) => {
            session.report_unreadable(&file, &problem);
            let sum = Sum::Unreadable(problem);
            Ok(Digest { file, sum })
        }
    }
}

fn summary(digests: &[Digest]) -> Summary {
    let mut summary = Summary::default();
    for digest in digests {
        let Sum::Unreadable(problem) = &digest.sum else {
            summary.files += 1;
            continue;
        };
        summary.unreadable += 1;
        if summary.named.len() < NAMED_MAX {
            let problem = problem.clone();
            summary.named.push((digest.file.clone(), problem));
        }
    }
    summary
}
