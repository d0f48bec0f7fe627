-- A child belongs to its parent run: two runs may have children of one workflow and key.
ALTER TABLE chrono_forge_workflows DROP CONSTRAINT chrono_forge_workflows_workflow_key_key;

-- One entry a run, for its identity and for look-ups by key: who has no parent is under parent 0.
-- An entry has at most 2,704 bytes, so a long key, of a child far below its top-level run, is
-- entered as two hashes of 64 bits.
CREATE UNIQUE INDEX chrono_forge_workflows_identity
    ON chrono_forge_workflows (key, workflow, (coalesce(parent_execution_log_id, 0)))
    WHERE octet_length(key) <= 1024;
CREATE UNIQUE INDEX chrono_forge_workflows_long_identity
    ON chrono_forge_workflows (
        (hashtextextended(key, 0)), (hashtextextended(key, 1)), workflow,
        (coalesce(parent_execution_log_id, 0))
    )
    WHERE octet_length(key) > 1024;
