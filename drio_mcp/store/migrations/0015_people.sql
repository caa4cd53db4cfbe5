-- One-time links that an operator made: an invitation makes an account, a reset sets its password. Hashes only.
CREATE TABLE account_links (
    token_hash BYTEA PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    email TEXT,
    is_operator BIGINT NOT NULL,
    made_by TEXT REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX account_links_by_user ON account_links (user_id);
CREATE INDEX account_links_by_maker ON account_links (made_by);
CREATE INDEX account_links_by_expiry ON account_links (expires_at);

-- How an account came to be what it is. Whoever registered themselves proved nothing about their address.
ALTER TABLE users ADD COLUMN is_self_registered BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN is_email_verified BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN is_operator_by_claim BIGINT NOT NULL DEFAULT 0;
UPDATE users SET is_email_verified = 1 WHERE subject IS NOT NULL;
