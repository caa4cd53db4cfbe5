-- Clients that registered themselves or that an operator entered. Those that are named by a URL are in client_documents.
CREATE TABLE clients (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    metadata TEXT NOT NULL,
    auth_method TEXT NOT NULL,
    may_refresh BIGINT NOT NULL,
    secret_hash BYTEA,
    management_hash BYTEA,
    created_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX clients_by_age ON clients (kind, created_at, id);

-- What a person allowed a client, from the consent page to its end. No other table knows codes or tokens.
CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id TEXT,
    client_name TEXT NOT NULL,
    state TEXT NOT NULL,
    secret BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    used_generation BIGINT NOT NULL,
    scopes TEXT NOT NULL,
    resource TEXT,
    redirect_uri TEXT,
    code_challenge TEXT,
    nonce TEXT,
    authenticated_at BIGINT,
    created_at BIGINT NOT NULL,
    rotated_at BIGINT NOT NULL,
    used_at BIGINT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX grants_by_user ON grants (user_id, created_at);
CREATE INDEX grants_by_client ON grants (client_id, expires_at);
CREATE INDEX grants_by_expiry ON grants (expires_at);

-- What a person need not be asked again.
CREATE TABLE consents (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    scopes TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id, redirect_uri)
);
CREATE INDEX consents_by_client ON consents (client_id);
CREATE INDEX consents_by_age ON consents (given_at);

-- Assertions of clients that were seen once and must not be seen again until they expire.
CREATE TABLE client_assertions (
    client_id TEXT NOT NULL,
    jti_hash BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, jti_hash)
);
CREATE INDEX client_assertions_by_expiry ON client_assertions (expires_at);

-- Tokens that open registration where it is not open to everybody.
CREATE TABLE initial_access_tokens (
    token_hash BYTEA PRIMARY KEY,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX initial_access_tokens_by_expiry ON initial_access_tokens (expires_at);

-- Keys that sign ID tokens; the private part is sealed by the vault.
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    public_jwk TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX signing_keys_by_age ON signing_keys (created_at, kid);
