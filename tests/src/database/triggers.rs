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
