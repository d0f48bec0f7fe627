UPDATE chrono_forge_workflows AS w SET context = (
    SELECT json_group_object(e.key, json(e.value)) FROM (
        SELECT c.key, c.value FROM chrono_forge_context AS c
        WHERE c.workflow_id = w.id AND c.value IS NOT NULL
        UNION ALL
        SELECT b.key, w.context -> b.fullkey FROM json_each(w.context) AS b
        WHERE b.key NOT IN (SELECT c.key FROM chrono_forge_context AS c WHERE c.workflow_id = w.id)
    ) AS e
)
WHERE w.id IN (SELECT workflow_id FROM chrono_forge_context);
DROP TABLE chrono_forge_context;
