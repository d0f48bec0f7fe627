//! What each kind of database does behind the engine's back when it writes.

use super::Look;
use crate::backend::Backend;

impl Look {
    /// Inserts of rows for which this holds are refused from now on.
    pub fn refuse(&self, table: &str, when: &str, why: &str) {
        self.script(&match self.backend() {
            Backend::Sqlite => format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON {table}
                WHEN {when} BEGIN SELECT RAISE(ABORT, '{why}'); END"
            ),
            Backend::Postgres => format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                    AS $$ BEGIN RAISE EXCEPTION '{why}'; END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON {table}
                FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
            ),
        });
    }

    /// What [`Look::refuse`] refuses is refused no longer, if it is.
    pub fn permit(&self, table: &str) {
        self.script(&match self.backend() {
            Backend::Sqlite => "DROP TRIGGER IF EXISTS refuse".to_owned(),
            Backend::Postgres => format!(
                "DROP TRIGGER IF EXISTS refuse ON {table}; DROP FUNCTION IF EXISTS refuse()"
            ),
        });
    }

    /// Rows for which this holds take longer to write than any statement may, until [`Look::hurry`]. Only a server has
    /// such a limit.
    ///
    /// # Panics
    /// On a file.
    pub fn slow(&self, table: &str, when: &str) {
        assert!(self.backend() == Backend::Postgres, "a file has no limit");
        // A sequence is not rolled back.
        self.script(&format!(
            "CREATE SEQUENCE slow_writes MINVALUE 0 START 0;
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN PERFORM nextval('slow_writes'); PERFORM pg_sleep(3600); RETURN new; END $$;
            CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON {table}
            FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION slow();
            SELECT nextval('slow_writes')"
        ));
    }

    /// How many such writes were begun.
    #[must_use]
    pub fn slow_writes(&self) -> i64 {
        self.number("SELECT last_value FROM slow_writes", &[])
    }

    /// They take no longer than others.
    pub fn hurry(&self, table: &str) {
        self.script(&format!("DROP TRIGGER slow ON {table}"));
    }

    /// Whoever reads the record of this name is refused because of what is in it, until [`Look::restore_reads`]. Nobody
    /// writes records meanwhile.
    pub fn refuse_reads(&self, step_name: &str) {
        let refused = match self.backend() {
            Backend::Sqlite => "json_extract(step_name, '$')",
            Backend::Postgres => "(step_name::numeric)::text",
        };
        self.script(&format!(
            "ALTER TABLE chrono_forge_execution_logs RENAME TO kept_logs;
            CREATE VIEW chrono_forge_execution_logs AS SELECT id, workflow_id, step_name, seq, state,
                attempts, spawned, pending, result, metadata, context_delta, error_class,
                CASE step_name WHEN '{step_name}' THEN {refused} ELSE error_message END AS error_message,
                started_at, last_executed_at, completed_at, wake_at FROM kept_logs"
        ));
    }

    /// See [`Look::refuse_reads`].
    pub fn restore_reads(&self) {
        self.script(
            "DROP VIEW chrono_forge_execution_logs;
            ALTER TABLE kept_logs RENAME TO chrono_forge_execution_logs",
        );
    }

    /// From now on every row that is inserted or changed is noted in the table `tally`, with this
    /// of it.
    pub fn tally(&self, table: &str, what: &str) {
        self.script(&match self.backend() {
            Backend::Sqlite => format!(
                "CREATE TABLE tally (noted INTEGER NOT NULL);
                CREATE TRIGGER tally_insert AFTER INSERT ON {table}
                BEGIN INSERT INTO tally VALUES ({what}); END;
                CREATE TRIGGER tally_update AFTER UPDATE ON {table}
                BEGIN INSERT INTO tally VALUES ({what}); END"
            ),
            Backend::Postgres => format!(
                "CREATE TABLE tally (noted bigint NOT NULL);
                CREATE FUNCTION tally() RETURNS trigger LANGUAGE plpgsql
                    AS $$ BEGIN INSERT INTO tally VALUES ({what}); RETURN new; END $$;
                CREATE TRIGGER tally AFTER INSERT OR UPDATE ON {table}
                FOR EACH ROW EXECUTE FUNCTION tally()"
            ),
        });
    }

    /// The output of this run will be stored as this, whatever it returns.
    pub fn spoil_output(&self, run: i64, output: &str) {
        let table = "chrono_forge_workflows";
        let when = format!("new.state = 2 AND new.id = {run}");
        self.script(&match self.backend() {
            Backend::Sqlite => format!(
                "CREATE TRIGGER spoil AFTER UPDATE OF state ON {table} WHEN {when}
                BEGIN UPDATE {table} SET output = '{output}' WHERE id = new.id; END"
            ),
            Backend::Postgres => format!(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql
                    AS $$ BEGIN new.output := '{output}'; RETURN new; END $$;
                CREATE TRIGGER spoil BEFORE UPDATE OF state ON {table}
                FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION spoil()"
            ),
        });
    }
}
