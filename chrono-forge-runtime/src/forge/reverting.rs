//! A database as an earlier release left it, for tests of what comes after.

use super::Builder;
use crate::error::Error;
use crate::store::opening::{self, OpenOptions};

impl Builder {
    /// For tests: makes the database what a binary left that knew no migration beyond the version
    /// `through`. Undoes the later ones, newest first, with everything that only they can hold.
    /// Nobody else may have it open.
    ///
    /// ```no_run
    /// # use chrono_forge_runtime::{error::Error, forge::Forge};
    /// # async fn example() -> Result<(), Error> {
    /// Forge::builder("sqlite://forge.db").revert_migrations("20261122000005").await?;
    /// // Whoever opens it now brings it up to date again.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the database cannot be opened, or holds what the older schema cannot.
    pub async fn revert_migrations(self, through: &str) -> Result<(), Error> {
        let options = OpenOptions {
            migrate: true,
            executes: false,
            ..self.options()
        };
        let (url, through) = (self.url, through.to_owned());
        let revert = tokio::task::spawn_blocking(move || {
            let store = opening::open(&url, options)?;
            while store.newest_migration()?.as_deref() > Some(&*through) {
                store.revert_migration()?;
            }
            Ok(())
        });
        revert.await.map_err(|_| Error::RuntimeGone)?
    }
}
