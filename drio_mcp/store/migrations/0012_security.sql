-- Which keys this database was used with: a value made from each primary key, so that a wrong key ring is known as such.
CREATE TABLE key_checks (
    key_id TEXT PRIMARY KEY,
    check_value BYTEA NOT NULL,
    recorded_at BIGINT NOT NULL
);

-- What happened that concerns security, beside the history of connections; for the audit log.
CREATE TABLE security_events (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    user_id TEXT,
    client_id TEXT,
    grant_id TEXT,
    address TEXT,
    detail TEXT
);
CREATE INDEX security_events_by_time ON security_events (at, id);
