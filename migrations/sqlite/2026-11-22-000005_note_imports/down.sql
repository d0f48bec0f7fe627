DROP TABLE chrono_forge_imports;
