-- "Which children keep this parent parked" among any number of blocked runs.
CREATE INDEX chrono_forge_blocked_children
    ON chrono_forge_blocked (parent_execution_log_id, workflow_id) WHERE parent_execution_log_id IS NOT NULL;
