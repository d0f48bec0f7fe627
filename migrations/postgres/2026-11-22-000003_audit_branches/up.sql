-- One row a branch that is open for longer than a moment; gone when the branch is over.
CREATE TABLE chrono_forge_audits (
    execution_log_id bigint PRIMARY KEY,
    -- Who raises it audits the branch; a result is written under its round only.
    round bigint NOT NULL DEFAULT 0,
    -- The branch's counters when somebody last looked: rates are measured from there.
    spawned bigint NOT NULL,
    pending bigint NOT NULL,
    -- Null before the first audit.
    never_started bigint,
    -- Children completed in a million seconds; null while unknown.
    rate_micros bigint,
    repairs bigint NOT NULL DEFAULT 0,
    -- Null: the branch is over, and its row stays because the counter had to be repaired.
    next_at timestamptz,
    sampled_at timestamptz NOT NULL,
    -- Null before the first audit.
    audited_at timestamptz
);

CREATE INDEX chrono_forge_audits_due
    ON chrono_forge_audits (next_at) WHERE next_at IS NOT NULL;

-- Branches with unfinished children: what the auditor walks. A predicate is a column like any other to HOT,
-- so a count-down writes an entry here: once per commit that counts the branch, not once per child.
CREATE INDEX chrono_forge_execution_logs_open
    ON chrono_forge_execution_logs (id) WHERE pending > 0;
