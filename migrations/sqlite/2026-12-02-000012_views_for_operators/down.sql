DROP VIEW chrono_forge_running;
DROP VIEW chrono_forge_queue;
DROP VIEW chrono_forge_stuck;
DROP VIEW chrono_forge_runs;
