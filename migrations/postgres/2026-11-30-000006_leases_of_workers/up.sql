-- A worker says itself for how long it may be silent; others judge it by that. Older builds know one lease, of 10 s.
ALTER TABLE chrono_forge_workers ADD COLUMN lease_micros bigint NOT NULL DEFAULT 10000000;
-- Pairs of run and epoch as JSON: which runs that may have killed workers it has begun to execute.
ALTER TABLE chrono_forge_workers ADD COLUMN executes text;
-- What keeps its runtime from everything else; null as long as nothing does.
ALTER TABLE chrono_forge_workers ADD COLUMN stuck text;
