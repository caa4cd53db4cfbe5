-- Sign-ins that were sent to the upstream OpenID provider and have not come back: hashes only, each good for one return.
CREATE TABLE upstream_sign_ins (
    state_hash BYTEA PRIMARY KEY,
    binding_hash BYTEA NOT NULL,
    return_to TEXT NOT NULL,
    max_age BIGINT,
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX upstream_sign_ins_by_expiry ON upstream_sign_ins (expires_at);
