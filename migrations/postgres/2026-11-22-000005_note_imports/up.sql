-- One row an imported file. While one of them is unfinished no worker begins: it would see branches some of
-- whose children are not there yet.
CREATE TABLE chrono_forge_imports (
    -- Given by the export.
    id text PRIMARY KEY,
    started_at timestamptz NOT NULL,
    finished_at timestamptz
);
