-- Which refresh token may still be repeated, and which access tokens a repeat took back: those between the two bounds.
ALTER TABLE grants ADD COLUMN replaced_generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN void_above BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN void_below BIGINT NOT NULL DEFAULT 0;
UPDATE grants SET replaced_generation = generation - 1 WHERE generation > 0;
