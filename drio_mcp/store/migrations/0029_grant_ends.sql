-- When a grant ends whatever we do, where that is known: the person has to allow it again. Milliseconds.
ALTER TABLE token_sets ADD COLUMN grant_ends_at BIGINT;
