-- What is known of the server behind a connection beyond its configuration: how it was found, and its metadata (JSON).
CREATE TABLE upstreams (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    target TEXT,
    method TEXT NOT NULL,
    resource TEXT,
    server TEXT NOT NULL,
    evidence TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX upstreams_by_target ON upstreams (target);

-- The tokens that a provider issued to a connection; the tokens themselves stand sealed in `secrets`.
-- `generation` rises with every stored answer. `lease_fence` rises with every refresher; `attempted_at` is its intent:
-- set before the call, cleared with the answer, so that a crash in between is seen.
CREATE TABLE token_sets (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    token_type TEXT NOT NULL,
    scopes TEXT,
    obtained_at BIGINT NOT NULL,
    expires_at BIGINT,
    is_renewable BIGINT NOT NULL,
    due_at BIGINT,
    failures BIGINT NOT NULL,
    lease_fence BIGINT NOT NULL,
    lease_until BIGINT,
    attempted_at BIGINT
);
CREATE INDEX token_sets_by_due ON token_sets (due_at);
