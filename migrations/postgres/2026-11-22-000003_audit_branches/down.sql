DROP TABLE chrono_forge_audits;
DROP INDEX chrono_forge_execution_logs_open;
