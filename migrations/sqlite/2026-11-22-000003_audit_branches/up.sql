-- Branches with unfinished children: what the auditor walks. Its entry changes once per commit that counts
-- the branch, not once per child.
CREATE INDEX chrono_forge_execution_logs_open
    ON chrono_forge_execution_logs (id) WHERE pending > 0;

-- One row a branch that is open for longer than a moment; gone when the branch is over.
CREATE TABLE chrono_forge_audits (
    execution_log_id INTEGER PRIMARY KEY REFERENCES chrono_forge_execution_logs (id),
    -- Who raises it audits the branch; a result is written under its round only.
    round INTEGER NOT NULL DEFAULT 0,
    -- Null: the branch is over, and its row stays because the counter had to be repaired.
    next_at INTEGER,
    -- The branch's counters when somebody last looked: rates are measured from there.
    sampled_at INTEGER NOT NULL,
    spawned INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    -- Null before the first audit.
    audited_at INTEGER,
    never_started INTEGER,
    -- Children completed in a million seconds; null while unknown.
    rate_micros INTEGER,
    repairs INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX chrono_forge_audits_due
    ON chrono_forge_audits (next_at) WHERE next_at IS NOT NULL;
