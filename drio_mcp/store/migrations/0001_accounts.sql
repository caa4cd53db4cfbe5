-- People, how they sign in, and the apps that they own.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    image TEXT,
    password_hash TEXT,
    issuer TEXT,
    subject TEXT,
    is_operator BIGINT NOT NULL,
    is_disabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    signed_in_at BIGINT,
    UNIQUE (issuer, subject)
);
