ALTER TABLE chrono_forge_workers DROP COLUMN beats;
ALTER TABLE chrono_forge_workers DROP COLUMN incarnation;
