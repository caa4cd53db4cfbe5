-- Our OAuth clients at providers. `app_id` is null for those of the whole server. `slug` names the authorization server:
-- one address and one document of ours for each. `callback` is the last part of the client's redirect URI, usually the
-- slug. `findings` (JSON) is what was found out about how the server wants to be asked.
CREATE TABLE provider_clients (
    id TEXT PRIMARY KEY,
    app_id TEXT REFERENCES apps (id) ON DELETE CASCADE,
    slug TEXT NOT NULL,
    callback TEXT NOT NULL,
    authorization_endpoint TEXT NOT NULL,
    token_endpoint TEXT NOT NULL,
    registration_endpoint TEXT,
    issuer TEXT,
    origin TEXT NOT NULL,
    name TEXT NOT NULL,
    client_id TEXT NOT NULL,
    auth_method TEXT,
    findings TEXT NOT NULL,
    registration_client_uri TEXT,
    registered_at BIGINT,
    secret_expires_at BIGINT,
    due_at BIGINT,
    last_error TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX provider_clients_by_app ON provider_clients (app_id, created_at, id);
CREATE INDEX provider_clients_by_server ON provider_clients (slug, created_at);
CREATE UNIQUE INDEX one_client_of_app ON provider_clients (app_id, slug) WHERE origin = 'manual';
CREATE UNIQUE INDEX one_client_of_server ON provider_clients (slug) WHERE origin = 'manual' AND app_id IS NULL;
CREATE INDEX provider_clients_by_due ON provider_clients (due_at);

-- Their secrets, sealed for the one token endpoint (or management address) that each may be sent to.
CREATE TABLE provider_client_secrets (
    provider_client_id TEXT NOT NULL REFERENCES provider_clients (id) ON DELETE CASCADE,
    field TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    origins TEXT NOT NULL,
    key_id TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (provider_client_id, field)
);

-- The client that a connection uses; null while it has one of its own, or none yet.
ALTER TABLE connections ADD COLUMN provider_client_id TEXT REFERENCES provider_clients (id) ON DELETE SET NULL;
CREATE INDEX connections_by_provider_client ON connections (provider_client_id, id);
