-- Who acted on a connection, beside the name that people see: the account, the client, and from where.
ALTER TABLE history ADD COLUMN user_id TEXT;
ALTER TABLE history ADD COLUMN client_id TEXT;
ALTER TABLE history ADD COLUMN address TEXT;
