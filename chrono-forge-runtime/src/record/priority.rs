//! Priorities and the few fixed levels that a claim visits in order.

/// How urgent a workflow's runs are among others of their tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before everything else of its tier.
    High,
    /// The default.
    #[default]
    Normal,
    /// After everything else of its tier.
    Low,
}

/// The stored priority of a run: tier times three plus [`Priority`]; lower is sooner.
///
/// Tier 0 holds top-level runs; children sit below them, tiered by their index in the branch, so
/// that ten children do not wait behind someone else's million. Below all of these is one level for
/// each tier with runs that return to try again what failed: a storm of them delays no healthy run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub i16);

impl Level {
    /// How many levels there are.
    pub const COUNT: i16 = Self::RETURNING + 4;

    /// The first level of runs that return after a failure.
    const RETURNING: i16 = 12;

    /// The level of a top-level run.
    #[must_use]
    pub fn top(priority: Priority) -> Self {
        Self(priority as i16)
    }

    /// The level of the child with this zero-based index in its branch.
    #[must_use]
    pub fn child(priority: Priority, index: u64) -> Self {
        let tier = match index {
            0..100 => 1,
            100..10_000 => 2,
            _ => 3,
        };
        Self(tier * 3 + priority as i16)
    }

    /// Whether runs of this level do not wait behind what was claimed ahead of the slots: top-level
    /// runs, and the first hundred children of a branch.
    #[must_use]
    pub fn is_urgent(self) -> bool {
        self < Self::child(Priority::High, 100)
    }

    /// Where a run of this level waits to try again.
    #[must_use]
    pub fn returning(self) -> Self {
        if self.is_returning() {
            return self;
        }
        Self(Self::RETURNING + self.0 / 3)
    }

    /// Whether a run of this level tries again what failed.
    #[must_use]
    pub fn is_returning(self) -> bool {
        self.0 >= Self::RETURNING
    }

    /// The level that a run of this level has when nothing of it fails.
    #[must_use]
    pub fn healthy(self, priority: Priority) -> Self {
        if !self.is_returning() {
            return self;
        }
        Self((self.0 - Self::RETURNING) * 3 + priority as i16)
    }

    /// Every level, most urgent first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_sit_below_top_level_runs_and_later_tiers_below_earlier() {
        assert!(Level::top(Priority::Low) < Level::child(Priority::High, 0));
        assert!(Level::child(Priority::Low, 99) < Level::child(Priority::High, 100));
        assert!(Level::child(Priority::Low, 9_999) < Level::child(Priority::High, 10_000));
        assert_eq!(
            Level::all().filter(|level| !level.is_returning()).count(),
            12
        );
        assert_eq!(
            Level::child(Priority::Low, u64::MAX).0,
            Level::RETURNING - 1
        );
    }

    #[test]
    fn top_level_runs_and_the_first_hundred_children_are_urgent() {
        assert!(Level::top(Priority::Low).is_urgent());
        assert!(Level::child(Priority::Low, 99).is_urgent());
        assert!(!Level::child(Priority::High, 100).is_urgent());
        assert!(!Level::top(Priority::High).returning().is_urgent());
    }

    #[test]
    fn who_returns_comes_after_everyone_else_and_finds_its_way_back() {
        let every_tier = [0, 100, 10_000].map(|index| Level::child(Priority::High, index));
        for level in [Level::top(Priority::High)].into_iter().chain(every_tier) {
            let returning = level.returning();
            assert!(returning > Level::child(Priority::Low, u64::MAX));
            assert!(returning.is_returning() && returning.0 < Level::COUNT);
            assert_eq!(returning.returning(), returning);
            assert_eq!(returning.healthy(Priority::High), level);
            assert_eq!(level.healthy(Priority::Low), level);
        }
    }
}
