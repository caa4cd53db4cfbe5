-- Authorizations at providers that have not come back: hashes only, each good for one return in one browser.
-- `asked` (JSON) is what was asked and where, so that the answer is used nowhere else.
CREATE TABLE pending_authorizations (
    state_hash BYTEA PRIMARY KEY,
    binding_hash BYTEA NOT NULL,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    asked TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX pending_authorizations_by_connection ON pending_authorizations (connection_id);
CREATE INDEX pending_authorizations_by_expiry ON pending_authorizations (expires_at);

-- The life of clients that we registered at providers. `due_at` is when the secret should be renewed.
CREATE TABLE registrations (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    auth_method TEXT,
    secret_expires_at BIGINT,
    due_at BIGINT
);
CREATE INDEX registrations_by_due ON registrations (due_at);
