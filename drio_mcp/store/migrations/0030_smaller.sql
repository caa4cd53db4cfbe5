-- The envelope names its key itself.
ALTER TABLE secrets DROP COLUMN key_id;
ALTER TABLE provider_client_secrets DROP COLUMN key_id;

-- A set is found by its connection.
DROP INDEX token_sets_by_set;

-- Few are made in the same millisecond: those are put in order by their ids as they are read.
DROP INDEX connections_by_status_everywhere;
CREATE INDEX connections_by_status_everywhere ON connections (status, provider_key, created_at);
