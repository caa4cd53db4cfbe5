-- Auth connections of apps. What is secret in one stands sealed in `secrets`, never here.
CREATE TABLE connections (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    provider_key TEXT NOT NULL,
    status TEXT NOT NULL,
    config TEXT NOT NULL,
    is_default BIGINT,
    secret_ref TEXT,
    grants TEXT NOT NULL,
    last_validated_at BIGINT,
    last_error TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (app_id, key)
);
CREATE INDEX connections_by_age ON connections (app_id, created_at, id);
CREATE INDEX connections_by_provider ON connections (app_id, provider_key);
CREATE UNIQUE INDEX one_default_connection ON connections (app_id) WHERE is_default = 1;

-- One row per secret value. `origins` (JSON) are those that it was sealed for, `key_id` the ring's key that it needs.
CREATE TABLE secrets (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    field TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    origins TEXT NOT NULL,
    key_id TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (connection_id, field)
);

-- What happened to a connection, numbered from 1. It outlives the connection, for the audit log.
CREATE TABLE history (
    connection_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    app_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    actor_type TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT,
    PRIMARY KEY (connection_id, number)
);
CREATE INDEX history_by_time ON history (at);
