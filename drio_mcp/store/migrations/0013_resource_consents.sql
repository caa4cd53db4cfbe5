-- What was allowed is remembered per resource: '' is the management endpoint, else the public id of an app.
CREATE TABLE resource_consents (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    audience TEXT NOT NULL,
    scopes TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id, redirect_uri, audience)
);
INSERT INTO resource_consents (user_id, client_id, redirect_uri, audience, scopes, given_at)
    SELECT user_id, client_id, redirect_uri, '', scopes, given_at FROM consents;
DROP TABLE consents;
ALTER TABLE resource_consents RENAME TO consents;
CREATE INDEX consents_by_client ON consents (client_id);
CREATE INDEX consents_by_age ON consents (given_at);
