-- Where the owner of an app wants to be told of changes. `secret` and, for a day after a new one was made,
-- `former_secret` are sealed; `events` is a JSON array, or null for all of them.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    events TEXT,
    description TEXT,
    status TEXT NOT NULL,
    secret BYTEA NOT NULL,
    former_secret BYTEA,
    former_until BIGINT NOT NULL,
    last_delivery_at BIGINT,
    last_error TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhooks_by_app ON webhooks (app_id, created_at, id);

-- The outbox: a message per webhook that wants it, written with the change that it tells of, and gone when delivered.
-- `due_at` is when it is tried next; while one of the same subject stands before it, that is never.
CREATE TABLE outbox (
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (webhook_id, number)
);
CREATE INDEX outbox_by_due ON outbox (due_at);
CREATE INDEX outbox_by_webhook ON outbox (webhook_id, due_at, number);
CREATE INDEX outbox_by_subject ON outbox (webhook_id, subject, number);
CREATE INDEX outbox_by_age ON outbox (at);

-- The last attempts of each webhook. `status` is HTTP's, null without an answer.
CREATE TABLE deliveries (
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    type TEXT NOT NULL,
    at BIGINT NOT NULL,
    status BIGINT,
    duration_ms BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (webhook_id, number)
);
