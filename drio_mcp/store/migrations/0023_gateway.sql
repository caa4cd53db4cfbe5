-- The app as an MCP server. What the owner lets be used of a connection, as JSON: {"mode", "tools"}.
ALTER TABLE connections ADD COLUMN use_rules TEXT NOT NULL DEFAULT '{}';

-- What a client may use of each connection, by the owner's consent. A connection without a row is none of its business.
CREATE TABLE client_permissions (
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    mode TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    PRIMARY KEY (app_id, client_id, connection_id)
);
CREATE INDEX client_permissions_by_connection ON client_permissions (connection_id);

-- The tools of an MCP server as its person agreed to them; the row without a name says that the first list was taken.
CREATE TABLE agreed_tools (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest BYTEA NOT NULL,
    definition TEXT NOT NULL,
    agreed_at BIGINT NOT NULL,
    PRIMARY KEY (connection_id, name)
);

-- Calls that a person is asked about, one row from the question to its end. `sealed` are the arguments.
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    client_name TEXT NOT NULL,
    tool TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    state TEXT NOT NULL,
    sealed BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    begun_at BIGINT
);
CREATE INDEX approvals_by_call ON approvals (connection_id, client_id, fingerprint, created_at);
CREATE INDEX approvals_by_app ON approvals (app_id, state, created_at);
CREATE INDEX approvals_by_expiry ON approvals (expires_at);

-- Who called which tool, and how long it took.
ALTER TABLE history ADD COLUMN tool TEXT;
ALTER TABLE history ADD COLUMN client TEXT;
ALTER TABLE history ADD COLUMN duration_ms BIGINT;

-- Whether an MCP server was found where the connection goes.
ALTER TABLE upstreams ADD COLUMN is_mcp BIGINT NOT NULL DEFAULT 0;
