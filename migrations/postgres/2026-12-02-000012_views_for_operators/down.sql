DROP VIEW chrono_forge_running;
DROP VIEW chrono_forge_queue;
DROP VIEW chrono_forge_stuck;
DROP VIEW chrono_forge_runs;
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT c.oid, c.relname, a.attname, d.objsubid FROM pg_class AS c
        JOIN pg_description AS d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
        WHERE c.relnamespace = current_schema()::regnamespace AND starts_with(c.relname, 'chrono_forge_')
    LOOP
        IF one.objsubid = 0 THEN
            EXECUTE format('COMMENT ON TABLE %I IS NULL', one.relname);
        ELSE
            EXECUTE format('COMMENT ON COLUMN %I.%I IS NULL', one.relname, one.attname);
        END IF;
    END LOOP;
END
$$;
