ALTER TABLE chrono_forge_schema_migrations DROP COLUMN oldest;
