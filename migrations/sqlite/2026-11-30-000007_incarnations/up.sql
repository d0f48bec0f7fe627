-- Tells one life of a worker from another that has the same id, after a copy was restored in which the id was free.
-- A random number; 0 in rows from before.
ALTER TABLE chrono_forge_workers ADD COLUMN incarnation INTEGER NOT NULL DEFAULT 0;
