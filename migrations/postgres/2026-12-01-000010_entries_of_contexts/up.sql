-- One row an entry of a context that was written or removed since this table exists, so that a
-- commit writes what has changed and not the whole. Entries from before stay in the run's row; a
-- row here stands before them.
CREATE TABLE chrono_forge_context (
    workflow_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    -- Null: removed.
    value text,
    PRIMARY KEY (workflow_id, key)
);
