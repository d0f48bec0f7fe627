UPDATE chrono_forge_workflows AS w SET context = (
    SELECT coalesce(json_object_agg(e.key, e.value), '{}')::text FROM (
        SELECT c.key, c.value::json FROM chrono_forge_context AS c
        WHERE c.workflow_id = w.id AND c.value IS NOT NULL
        UNION ALL
        SELECT b.key, b.value FROM json_each(w.context::json) AS b
        WHERE b.key NOT IN (SELECT c.key FROM chrono_forge_context AS c WHERE c.workflow_id = w.id)
    ) AS e
)
WHERE w.id IN (SELECT workflow_id FROM chrono_forge_context);
DROP TABLE chrono_forge_context;
