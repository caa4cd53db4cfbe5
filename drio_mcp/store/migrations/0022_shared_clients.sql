-- Under which further addresses (slugs of former endpoints) a client's authorization server is known.
CREATE TABLE provider_client_aliases (
    slug TEXT NOT NULL,
    provider_client_id TEXT NOT NULL REFERENCES provider_clients (id) ON DELETE CASCADE,
    PRIMARY KEY (slug, provider_client_id)
);
CREATE INDEX provider_client_aliases_by_client ON provider_client_aliases (provider_client_id);
CREATE UNIQUE INDEX one_registration_of_server ON provider_clients (slug, registration_endpoint)
    WHERE origin = 'dynamic_registration' AND app_id IS NULL;
CREATE UNIQUE INDEX one_document_of_server ON provider_clients (slug)
    WHERE origin = 'client_metadata_document' AND app_id IS NULL;

-- Connections made before have a redirect URI of their own, which is registered at their providers.
ALTER TABLE connections ADD COLUMN has_own_callback BIGINT NOT NULL DEFAULT 0;
UPDATE connections SET has_own_callback = 1;

-- Clients that were got for one connection each, and still are to become provider clients.
CREATE TABLE client_adoptions (
    connection_id TEXT PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    client_id TEXT,
    auth_method TEXT,
    secret_expires_at BIGINT,
    due_at BIGINT
);
INSERT INTO client_adoptions (connection_id, client_id, auth_method, secret_expires_at, due_at)
    SELECT connection_id, client_id, auth_method, secret_expires_at, due_at FROM registrations;
INSERT INTO client_adoptions (connection_id)
    SELECT connection_id FROM upstreams WHERE method = 'client_metadata_document'
    ON CONFLICT (connection_id) DO NOTHING;
DROP TABLE registrations;
