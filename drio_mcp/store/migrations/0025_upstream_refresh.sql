-- A set of upstream tokens has an identity of its own: what belongs to a former set can never be taken for the present
-- one's. Why nobody asks the token endpoint now, and until when, stands beside it. Times are milliseconds.
ALTER TABLE token_sets ADD COLUMN set_id TEXT NOT NULL DEFAULT '';
UPDATE token_sets SET set_id = connection_id;
CREATE UNIQUE INDEX token_sets_by_set ON token_sets (set_id);
ALTER TABLE token_sets ADD COLUMN refresh_expires_at BIGINT;
ALTER TABLE token_sets ADD COLUMN lease_by TEXT;
ALTER TABLE token_sets ADD COLUMN blocked_until BIGINT;
ALTER TABLE token_sets ADD COLUMN fault_code TEXT;
ALTER TABLE token_sets ADD COLUMN fault_sentence TEXT;
-- Tokens without a known end were never refreshed, so that their refresh tokens lapsed: they are due from now on.
UPDATE token_sets SET due_at = obtained_at WHERE due_at IS NULL AND expires_at IS NULL AND is_renewable = 1;
