-- From which networks (hashes) each person has signed in: they still get in there while others guess their password.
CREATE TABLE known_networks (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network_hash BYTEA NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, network_hash)
);
CREATE INDEX known_networks_by_use ON known_networks (user_id, seen_at);
