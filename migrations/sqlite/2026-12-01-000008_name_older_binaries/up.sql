-- The oldest version whose binaries may still work on a database with this one: it only adds to
-- what they know. Null: none but those that know it.
ALTER TABLE chrono_forge_schema_migrations ADD COLUMN oldest TEXT;
