ALTER TABLE chrono_forge_workers DROP COLUMN stuck;
ALTER TABLE chrono_forge_workers DROP COLUMN executes;
ALTER TABLE chrono_forge_workers DROP COLUMN lease_micros;
