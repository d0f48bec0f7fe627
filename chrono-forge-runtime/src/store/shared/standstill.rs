//! Whether a run waits in vain for its children, at any depth.
//!
//! A run stands still if it has ended otherwise than completed, if it is due where no worker serves it, or if it is
//! parked at joins alone, each of which waits for a branch with a child that stands still. A run that also waits for
//! an instant, a poll or a gate goes on by itself or when it is told; and of two joins beside each other a `select!`
//! may need only one, so each must be in vain.
//!
//! As for [`blocked`](super::blocked): from what stands still upwards, since no index tells which of a million
//! children wait for children of their own. So healthy children cost nothing.
//!
//! The facts come from several short transactions, and runs move meanwhile. So everything is looked at twice, and
//! only what was so both times counts, under the same epoch: a run that went on in between was claimed. Between the
//! two looks all of it was true at once.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::record::keys::short_name;
use crate::record::{BRANCH, BlockedChild, Epoch, Level, Notes, RunId, RunRow, Standstill};
use crate::store::StoreResult;

/// So many blocked runs are counted.
const RUNS_MAX: usize = 1_000;

/// Pages of blocked runs that one look reads; those of other families count, too.
const PAGES_MAX: usize = 100;

/// Ways up that one look remembers.
const LINKS_MAX: usize = 100_000;

/// The first due runs of a range that one look goes up from.
pub(in crate::store) const DUE_MAX: u32 = 100_000;

/// One step of the way up from a run that stands still.
#[derive(Debug)]
pub(in crate::store) struct Link {
    pub(in crate::store) child: RunId,
    /// The child's.
    pub(in crate::store) epoch: Epoch,
    /// The parent, and the row of its branch.
    pub(in crate::store) run: RunId,
    pub(in crate::store) branch: String,
    /// The child is where the way begins.
    pub(in crate::store) is_first: bool,
}

/// A join that a run is parked at which waits for no instant and at no gate.
#[derive(Debug)]
pub(in crate::store) struct JoinRow {
    pub(in crate::store) run: RunId,
    pub(in crate::store) epoch: Epoch,
    pub(in crate::store) step_name: String,
    pub(in crate::store) metadata: Option<String>,
}

/// Due runs of one workflow in one queue and level.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Range<'a> {
    pub(in crate::store) workflow: &'a str,
    pub(in crate::store) queue: &'a str,
    pub(in crate::store) level: Level,
    pub(in crate::store) now: Timestamp,
}

/// What a store reads, each call a transaction of its own.
pub(in crate::store) trait Looks {
    /// The ways up from a page of the blocked runs behind `after`, and the last run of that page; as for
    /// [`blocked_descendants`](super::blocked::blocked_descendants), without most of those that do not lead to `run`.
    fn blocked_links(&self, run: &RunRow, after: RunId) -> StoreResult<Option<(Vec<Link>, RunId)>>;

    /// The ways up from the first due runs of a range, likewise.
    fn due_links(&self, run: &RunRow, range: Range<'_>) -> StoreResult<Vec<Link>>;

    /// The joins that those of these runs wait at which wait for nothing else.
    fn joins(&self, runs: &[RunId]) -> StoreResult<Vec<JoinRow>>;

    /// A blocked run as operators see it.
    fn blocked_run(&self, run: RunId) -> StoreResult<Option<BlockedChild>>;
}

/// See [`Store::standstill`](crate::store::Store::standstill).
pub(in crate::store) fn standstill(
    looks: &impl Looks,
    run: &RunRow,
    unserved: &[(String, String)],
    now: Timestamp,
) -> StoreResult<Option<Standstill>> {
    let Some(before) = Walk::of(looks, run, unserved, now)? else {
        return Ok(None);
    };
    let Some(mut walk) = Walk::of(looks, run, unserved, now)? else {
        return Ok(None);
    };
    walk.keep_what_stayed(&before);
    let Some(ends) = walk.ends_below(run.id) else {
        return Ok(None);
    };
    let blocked = |end: &&RunId| walk.ends.get(end).is_some_and(|end| end.is_blocked);
    if let Some(first) = ends.iter().find(blocked) {
        let first = looks.blocked_run(*first)?;
        return Ok(first.map(|first| Standstill::Blocked {
            runs: ends.iter().filter(blocked).count(),
            first: Box::new(first),
        }));
    }
    Ok(ends.first().copied().map(Standstill::Unserved))
}

/// Where a way up begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    epoch: Epoch,
    is_blocked: bool,
}

/// What a run waits for that waits for joins alone.
#[derive(Debug)]
struct Waits {
    epoch: Epoch,
    /// The names of each join's branches; `None` if they are not known.
    joins: Vec<Option<Vec<String>>>,
}

/// Everything that one look has found.
#[derive(Debug, Default)]
struct Walk {
    /// Each run's parent and branch.
    up: BTreeMap<RunId, (RunId, String)>,
    ends: BTreeMap<RunId, End>,
    /// `None` for a run that waits for something else.
    waits: HashMap<RunId, Option<Waits>>,
}

impl Walk {
    /// `None` if the run does not stand still.
    fn of(
        looks: &impl Looks,
        run: &RunRow,
        unserved: &[(String, String)],
        now: Timestamp,
    ) -> StoreResult<Option<Self>> {
        let mut walk = Self::default();
        walk.ask(looks, vec![run.id])?;
        if walk.waits.values().all(Option::is_none) {
            return Ok(None);
        }
        let mut after = run.id;
        for _ in 0..PAGES_MAX {
            let Some((links, last)) = looks.blocked_links(run, after)? else {
                break;
            };
            after = last;
            walk.add(looks, links, true)?;
            let is_enough = walk.ends.len() >= RUNS_MAX && walk.ends_below(run.id).is_some();
            if is_enough || walk.up.len() >= LINKS_MAX {
                break;
            }
        }
        if walk.ends_below(run.id).is_none() {
            walk.add_unserved(looks, run, unserved, now)?;
        }
        Ok(walk.ends_below(run.id).is_some().then_some(walk))
    }

    fn add_unserved(
        &mut self,
        looks: &impl Looks,
        run: &RunRow,
        unserved: &[(String, String)],
        now: Timestamp,
    ) -> StoreResult<()> {
        for (workflow, queue) in unserved {
            for level in Level::all() {
                let range = Range {
                    workflow,
                    queue,
                    level,
                    now,
                };
                let links = looks.due_links(run, range)?;
                self.add(looks, links, false)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, looks: &impl Looks, links: Vec<Link>, are_blocked: bool) -> StoreResult<()> {
        let mut runs = Vec::new();
        for link in links {
            if link.is_first {
                let end = End {
                    epoch: link.epoch,
                    is_blocked: are_blocked,
                };
                self.ends.insert(link.child, end);
            }
            if !self.waits.contains_key(&link.run) {
                runs.push(link.run);
            }
            self.up.insert(link.child, (link.run, link.branch));
        }
        runs.sort_unstable();
        runs.dedup();
        self.ask(looks, runs)
    }

    fn ask(&mut self, looks: &impl Looks, runs: Vec<RunId>) -> StoreResult<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let rows = looks.joins(&runs)?;
        self.waits.extend(runs.into_iter().map(|run| (run, None)));
        for row in rows {
            let branches = branches_of(&row);
            let waits = self.waits.entry(row.run).or_default();
            let waits = waits.get_or_insert_with(|| Waits {
                epoch: row.epoch,
                joins: Vec::new(),
            });
            waits.joins.push(branches);
        }
        Ok(())
    }

    /// Forgets what was otherwise when it was looked at before.
    fn keep_what_stayed(&mut self, before: &Self) {
        self.ends
            .retain(|run, end| before.ends.get(run) == Some(&*end));
        for (run, waits) in &mut self.waits {
            let epoch = |waits: &Option<Waits>| waits.as_ref().map(|waits| waits.epoch);
            let then = before.waits.get(run).and_then(epoch);
            if then != epoch(waits) {
                *waits = None;
            }
        }
    }

    /// Where the ways begin that end in this run, oldest first, if it stands still.
    fn ends_below(&self, root: RunId) -> Option<Vec<RunId>> {
        let mut still: HashSet<RunId> = HashSet::new();
        let mut branches: HashMap<RunId, HashSet<&str>> = HashMap::new();
        // Children are younger than their parents.
        for (child, (run, branch)) in self.up.iter().rev() {
            if self.ends.contains_key(child) || self.waits_in_vain(*child, &branches) {
                still.insert(*child);
                branches.entry(*run).or_default().insert(branch);
            }
        }
        if !self.waits_in_vain(root, &branches) {
            return None;
        }
        let leads_to_root = |end: &RunId| {
            let mut at = *end;
            while let Some((run, _)) = self.up.get(&at).filter(|_| still.contains(&at)) {
                if *run == root {
                    return true;
                }
                at = *run;
            }
            false
        };
        Some(self.ends.keys().copied().filter(leads_to_root).collect())
    }

    fn waits_in_vain(&self, run: RunId, branches: &HashMap<RunId, HashSet<&str>>) -> bool {
        let (Some(Some(waits)), Some(branches)) = (self.waits.get(&run), branches.get(&run)) else {
            return false;
        };
        let is_in_vain = |names: &Option<Vec<String>>| {
            let Some(names) = names else { return true };
            names.iter().any(|name| {
                let name = format!("{BRANCH}{name}");
                let short = short_name(&name);
                branches.contains(&*name) || short.is_some_and(|name| branches.contains(&*name))
            })
        };
        waits.joins.iter().all(is_in_vain)
    }
}

/// The names of a join's branches, which its own name consists of, unless that is a digest.
fn branches_of(row: &JoinRow) -> Option<Vec<String>> {
    let noted = Notes::of_text(row.metadata.as_deref()).name;
    let name = noted.as_ref().unwrap_or(&row.step_name);
    let names = name.strip_prefix("merge$")?;
    if names.starts_with('#') && noted.is_none() {
        return None;
    }
    Some(names.split(',').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: RunId = RunId(1);

    fn link(child: i64, run: i64, branch: &str, is_first: bool) -> Link {
        Link {
            child: RunId(child),
            epoch: Epoch(1),
            run: RunId(run),
            branch: format!("branch${branch}"),
            is_first,
        }
    }

    /// Runs and the joins that they wait at, under one epoch.
    struct Parked(Vec<(i64, &'static str)>, i64);

    impl Looks for Parked {
        fn blocked_links(&self, _: &RunRow, _: RunId) -> StoreResult<Option<(Vec<Link>, RunId)>> {
            Ok(None)
        }

        fn due_links(&self, _: &RunRow, _: Range<'_>) -> StoreResult<Vec<Link>> {
            Ok(Vec::new())
        }

        fn joins(&self, runs: &[RunId]) -> StoreResult<Vec<JoinRow>> {
            let row = |(run, join): &(i64, &str)| JoinRow {
                run: RunId(*run),
                epoch: Epoch(self.1),
                step_name: format!("merge${join}"),
                metadata: None,
            };
            let rows = self.0.iter().map(row);
            Ok(rows.filter(|row| runs.contains(&row.run)).collect())
        }

        fn blocked_run(&self, _: RunId) -> StoreResult<Option<BlockedChild>> {
            Ok(None)
        }
    }

    fn walk(parked: &Parked, links: Vec<Link>) -> Walk {
        let mut walk = Walk::default();
        walk.ask(parked, vec![ROOT]).unwrap();
        walk.add(parked, links, true).unwrap();
        walk
    }

    fn ends(parked: &[(i64, &'static str)], links: Vec<Link>) -> Option<Vec<i64>> {
        let walk = walk(&Parked(parked.to_vec(), 1), links);
        let ends = walk.ends_below(ROOT)?;
        Some(ends.into_iter().map(|run| run.0).collect())
    }

    #[test]
    fn a_join_is_in_vain_if_one_of_its_branches_is() {
        let links = || vec![link(5, 1, "b", true), link(6, 1, "b", true)];
        assert_eq!(ends(&[(1, "b")], links()), Some(vec![5, 6]));
        assert_eq!(ends(&[(1, "a,b,c")], links()), Some(vec![5, 6]));
        assert_eq!(ends(&[(1, "bb")], links()), None);
        assert_eq!(ends(&[], links()), None);
        assert_eq!(ends(&[(1, "#0123")], links()), Some(vec![5, 6]));
    }

    #[test]
    fn of_joins_beside_each_other_each_must_be_in_vain() {
        let one = || link(5, 1, "a", true);
        assert_eq!(ends(&[(1, "a"), (1, "b")], vec![one()]), None);
        let both = vec![one(), link(6, 1, "b", true)];
        assert_eq!(ends(&[(1, "a"), (1, "b")], both), Some(vec![5, 6]));
    }

    #[test]
    fn whoever_goes_on_by_itself_holds_nobody_up() {
        let links = || {
            let way = [link(9, 5, "c", true), link(5, 2, "b", false)];
            way.into_iter().chain([link(2, 1, "a", false)]).collect()
        };
        let parked = [(1, "a"), (2, "b"), (5, "c")];
        assert_eq!(ends(&parked, links()), Some(vec![9]));
        // In the middle of the way one waits for something else, too.
        assert_eq!(ends(&[(1, "a"), (5, "c")], links()), None);
    }

    #[test]
    fn what_changed_between_two_looks_counts_for_nothing() {
        let links = || vec![link(5, 1, "b", true)];
        let before = walk(&Parked(vec![(1, "b")], 1), links());
        let mut again = walk(&Parked(vec![(1, "b")], 1), links());
        again.keep_what_stayed(&before);
        assert!(again.ends_below(ROOT).is_some());
        let mut claimed = walk(&Parked(vec![(1, "b")], 2), links());
        claimed.keep_what_stayed(&before);
        assert!(claimed.ends_below(ROOT).is_none());
        let retried = Link {
            epoch: Epoch(2),
            ..link(5, 1, "b", true)
        };
        let mut retried = walk(&Parked(vec![(1, "b")], 1), vec![retried]);
        retried.keep_what_stayed(&before);
        assert!(retried.ends_below(ROOT).is_none());
    }
}
