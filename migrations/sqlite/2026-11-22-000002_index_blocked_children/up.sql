-- "Which children keep this parent parked" among any number of blocked runs. A failing child pays 4 us
-- for its entry, one that completes nothing; without it, 100,000 other blocked runs made that 9 ms.
CREATE INDEX chrono_forge_blocked_children
    ON chrono_forge_blocked (parent_execution_log_id) WHERE parent_execution_log_id IS NOT NULL;
