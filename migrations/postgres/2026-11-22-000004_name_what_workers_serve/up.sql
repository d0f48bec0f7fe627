-- JSON arrays of names: which due runs no live worker can be asked for is told from these.
ALTER TABLE chrono_forge_workers ADD COLUMN workflows text NOT NULL DEFAULT '[]';
ALTER TABLE chrono_forge_workers ADD COLUMN queues text NOT NULL DEFAULT '[]';
