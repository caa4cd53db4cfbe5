-- What was discovered is kept once for all connections that found the same, which is most of what a connection took.
CREATE TABLE discoveries (
    number BIGINT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    target TEXT,
    method TEXT NOT NULL,
    resource TEXT,
    server TEXT NOT NULL,
    evidence TEXT NOT NULL,
    is_mcp BIGINT NOT NULL
);
INSERT INTO discoveries (number, digest, target, method, resource, server, evidence, is_mcp)
    SELECT row_number() OVER (ORDER BY connection_id), 'of ' || connection_id, target, method, resource, server,
           evidence, is_mcp
    FROM upstreams;
ALTER TABLE connections ADD COLUMN discovery BIGINT;
UPDATE connections SET discovery = (SELECT number FROM discoveries WHERE digest = 'of ' || connections.id);
DROP TABLE upstreams;
CREATE INDEX connections_by_discovery ON connections (discovery) WHERE discovery IS NOT NULL;

-- Most connections have a client of their own or none; those that share one are found as before.
DROP INDEX connections_by_provider_client;
CREATE INDEX connections_by_provider_client ON connections (provider_client_id, id)
    WHERE provider_client_id IS NOT NULL;

-- One index tells an app's connections in their order and its providers.
DROP INDEX connections_by_provider;
DROP INDEX connections_by_age;
CREATE INDEX connections_by_age ON connections (app_id, created_at, id, provider_key);
