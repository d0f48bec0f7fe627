//! Migrations that only a later binary knows.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel_migrations::FileBasedMigrations;

/// A folder of them that goes with this.
pub(crate) struct Later(PathBuf);

impl Later {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chrono-forge-later-{}-{nth}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// With this one, too, whose name begins with its version, as `2999-01-01-000000_a_table`.
    pub(crate) fn with(self, name: &str, up: &str, down: &str) -> Self {
        let folder = self.0.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("up.sql"), up).unwrap();
        std::fs::write(folder.join("down.sql"), down).unwrap();
        self
    }

    /// With this one outside of any transaction, as only a server takes it.
    #[cfg(feature = "postgres")]
    pub(crate) fn beside(self, name: &str, up: &str, down: &str) -> Self {
        let later = self.with(name, up, down);
        let alone = "run_in_transaction = false\n";
        std::fs::write(later.0.join(name).join("metadata.toml"), alone).unwrap();
        later
    }

    pub(crate) fn migrations(&self) -> FileBasedMigrations {
        FileBasedMigrations::from_path(&self.0).unwrap()
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
