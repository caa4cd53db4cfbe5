-- One-time links on which a connection's owner enters what a model must not see. Only a hash of each is kept.
CREATE TABLE connect_links (
    token_hash BYTEA PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX connect_links_by_connection ON connect_links (connection_id);
CREATE INDEX connect_links_by_expiry ON connect_links (expires_at);
