//! When the writing connection moves its log into the file: every 1,000 frames or so, as SQLite
//! does by itself, but between two commits, and right after a look at the file.
//!
//! SQLite would do it within a commit, into whatever is at the path by then. If the file was
//! written over since the last look, the commit would replace page 1, which alone tells so, and a
//! mixture of two databases would be served.
//!
//! Only a statement tells how many frames there are. From how many each commit has added, the
//! next time to ask is foreseen: a few times for each 1,000 frames, and not after each commit.

/// As SQLite's own default: a move syncs the disk twice.
const FRAMES: i64 = 1_000;

/// Later commits may be larger, and other processes may write: no more commits than this go by
/// unasked.
const COMMITS_MAX: i64 = 256;

#[derive(Default)]
pub(super) struct Pace {
    /// Since the last question.
    commits: i64,
    ask_at: i64,
    /// How many frames were not in the file then.
    unmoved: i64,
    /// How many the last move had to leave behind, since somebody reads what is older.
    left_behind: i64,
}

impl Pace {
    /// A transaction was committed.
    pub(super) fn note_commit(&mut self) {
        self.commits += 1;
    }

    /// Whether it is time to ask how many frames are not in the file.
    pub(super) fn is_due(&self) -> bool {
        self.commits >= self.ask_at
    }

    /// So many are not; whether it is time to move them.
    pub(super) fn found(&mut self, unmoved: i64) -> bool {
        let frames_each = (unmoved - self.unmoved) / self.commits.max(1);
        self.left_behind = self.left_behind.min(unmoved);
        let due_in = self.left_behind + FRAMES - unmoved;
        let is_time = due_in <= 0;
        let frames = if is_time { FRAMES } else { due_in };
        self.ask_at = (frames / frames_each.max(1)).clamp(1, COMMITS_MAX);
        self.commits = 0;
        self.unmoved = unmoved;
        is_time
    }

    /// They were moved but for so many. These are tried again once there are 1,000 more.
    pub(super) fn moved_but(&mut self, unmoved: i64) {
        self.unmoved = unmoved;
        self.left_behind = unmoved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log, and how often it was asked about and moved.
    #[derive(Default)]
    struct Moves {
        pace: Pace,
        unmoved: i64,
        asked: i64,
        moved: i64,
        unmoved_max: i64,
    }

    impl Moves {
        /// So many commits that add so many frames each, while the newest so many are the most
        /// that a move can take.
        fn commit(&mut self, commits: i64, frames: i64, held: bool) {
            for _ in 0..commits {
                self.unmoved += frames;
                self.unmoved_max = self.unmoved_max.max(self.unmoved);
                self.pace.note_commit();
                if !self.pace.is_due() {
                    continue;
                }
                self.asked += 1;
                if self.pace.found(self.unmoved) {
                    self.moved += 1;
                    self.unmoved = if held { self.unmoved } else { 0 };
                    self.pace.moved_but(self.unmoved);
                }
            }
        }
    }

    #[test]
    fn a_log_is_moved_every_thousand_frames_and_asked_about_a_few_times_between() {
        for frames in [1, 3, 4, 7, 40, 300, 999] {
            let mut log = Moves::default();
            log.commit(10_000, frames, false);
            let whole = 10_000 * frames / FRAMES;
            assert!(
                (whole / 3..=whole).contains(&log.moved),
                "{frames}: {}",
                log.moved
            );
            assert!(log.unmoved_max <= FRAMES + frames * 2, "{frames}");
            let often = log.moved * 3 + 10_000 / COMMITS_MAX + 8;
            assert!(log.asked <= often, "{frames}: {}", log.asked);
        }
    }

    #[test]
    fn commits_that_grow_are_found_out_soon() {
        let mut log = Moves::default();
        log.commit(1_000, 1, false);
        log.commit(1_000, 50, false);
        assert!(log.unmoved_max <= FRAMES + 50 * COMMITS_MAX);
    }

    /// Each attempt sorts all frames of the log.
    #[test]
    fn a_log_that_somebody_reads_is_not_tried_with_each_commit() {
        let mut log = Moves::default();
        log.commit(10_000, 4, true);
        assert!(
            (log.moved, log.asked) <= (40, 160),
            "{} {}",
            log.moved,
            log.asked
        );
        assert!(log.moved >= 13, "{}", log.moved);
        // Once nobody does, it is moved within as many frames as ever.
        log.commit(FRAMES, 4, false);
        assert!(log.unmoved <= FRAMES + 8, "{}", log.unmoved);
    }

    #[test]
    fn what_another_process_has_moved_is_no_reason_to_wait_longer() {
        let mut log = Moves::default();
        log.commit(2_000, 4, true);
        log.unmoved = 0;
        log.unmoved_max = 0;
        log.commit(2_000, 4, false);
        assert!(
            log.unmoved_max <= FRAMES + 4 * COMMITS_MAX,
            "{}",
            log.unmoved_max
        );
    }
}
