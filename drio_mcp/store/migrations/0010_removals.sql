-- Connections that a person removed on a page and can still bring back: disabled meanwhile, and deleted at `due_at`.
-- `status` and `last_error` are what comes back.
CREATE TABLE removals (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    app_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    status TEXT NOT NULL,
    last_error TEXT,
    due_at BIGINT NOT NULL
);
CREATE INDEX removals_by_app ON removals (app_id);
CREATE INDEX removals_by_due ON removals (due_at);
