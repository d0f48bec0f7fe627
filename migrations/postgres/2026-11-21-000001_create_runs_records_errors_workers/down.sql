DROP TABLE chrono_forge_claims;
DROP TABLE chrono_forge_blocked;
DROP TABLE chrono_forge_workers;
DROP TABLE chrono_forge_error_logs;
DROP TABLE chrono_forge_execution_logs;
DROP TABLE chrono_forge_workflows;
