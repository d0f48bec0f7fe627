-- Tells one life of a worker from another that has the same id, after a copy was restored in which the id was free.
-- A random number; 0 in rows from before.
ALTER TABLE chrono_forge_workers ADD COLUMN incarnation bigint NOT NULL DEFAULT 0;
-- Heartbeats of this life: a count that went back tells the worker that the database was set back under it.
ALTER TABLE chrono_forge_workers ADD COLUMN beats bigint NOT NULL DEFAULT 0;
