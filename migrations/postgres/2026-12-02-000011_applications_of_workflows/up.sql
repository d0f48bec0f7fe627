-- One row for each name of a workflow: whose it is. A name belongs to the application that served or
-- started it first, so that no other one reads its runs.
CREATE TABLE chrono_forge_applications (
    workflow text COLLATE "C" PRIMARY KEY,
    application text NOT NULL,
    since timestamptz NOT NULL
);
