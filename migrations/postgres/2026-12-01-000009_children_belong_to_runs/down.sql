-- Fails where runs have children of one name by now: an older binary could not tell them apart.
ALTER TABLE chrono_forge_workflows
    ADD CONSTRAINT chrono_forge_workflows_workflow_key_key UNIQUE (workflow, key);
DROP INDEX chrono_forge_workflows_identity;
DROP INDEX chrono_forge_workflows_long_identity;
