-- When a connection is looked at next, and until when somebody is at it: a lease, so that one process does.
CREATE TABLE validations (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    due_at BIGINT NOT NULL,
    lease_until BIGINT
);
CREATE INDEX validations_by_due ON validations (due_at);
CREATE INDEX connections_by_status ON connections (status, id);

-- Uses are counted by the hour, not listed one by one.
ALTER TABLE history ADD COLUMN times BIGINT NOT NULL DEFAULT 1;
