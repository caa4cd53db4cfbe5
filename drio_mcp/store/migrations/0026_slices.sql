-- What is deleted by age is found by an index that holds little else, a slice at a time.
CREATE INDEX clients_by_use ON clients (kind, used_at, created_at);
CREATE INDEX security_events_of_nobody ON security_events (at) WHERE user_id IS NULL AND event = 'sign_in_failed';

-- What jobs do over and over has one line a day; when it was last done stands beside the count.
ALTER TABLE history ADD COLUMN last_at BIGINT;
