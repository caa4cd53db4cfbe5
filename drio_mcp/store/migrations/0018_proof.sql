-- What a session's last proof of the password was for (a hash of the address that waited for it): it serves that once.
ALTER TABLE sessions ADD COLUMN proved_for BYTEA;
ALTER TABLE sessions ADD COLUMN proved_at BIGINT NOT NULL DEFAULT 0;
