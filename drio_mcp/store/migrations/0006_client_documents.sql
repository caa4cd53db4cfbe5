-- Client ID Metadata Documents that were read, each with the key set that it points to.
CREATE TABLE client_documents (
    client_id TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    etag TEXT,
    fetched_at BIGINT NOT NULL,
    fresh_until BIGINT NOT NULL,
    failure TEXT,
    used_at BIGINT NOT NULL,
    jwks TEXT,
    jwks_fetched_at BIGINT,
    jwks_fresh_until BIGINT
);
CREATE INDEX client_documents_by_use ON client_documents (used_at);
