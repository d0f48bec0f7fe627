ALTER TABLE chrono_forge_workers DROP COLUMN queues;
ALTER TABLE chrono_forge_workers DROP COLUMN workflows;
