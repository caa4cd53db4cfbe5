-- What operators look at: connections by status and provider, and all grants by their age.
CREATE INDEX connections_by_status_everywhere ON connections (status, provider_key, created_at, id);
CREATE INDEX grants_by_age ON grants (state, created_at, id);
