-- One word for one thing: a token is refreshed, here as in OAuth.
ALTER TABLE token_sets RENAME COLUMN is_renewable TO is_refreshable;
