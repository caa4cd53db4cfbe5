-- Counters of attempts (one row per thing counted, in windows) and answers kept for repeated requests.
CREATE TABLE throttle_windows (
    bucket TEXT NOT NULL,
    key_hash BYTEA NOT NULL,
    hits BIGINT NOT NULL,
    closes_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, key_hash)
);
CREATE INDEX throttle_windows_by_end ON throttle_windows (closes_at);

CREATE TABLE idempotency_keys (
    user_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    response TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, app_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
