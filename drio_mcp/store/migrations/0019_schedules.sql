-- A connection is planned for when it becomes watched, not searched for each minute; claims move the due date on.
INSERT INTO validations (connection_id, due_at, lease_until)
SELECT id, updated_at, NULL FROM connections
WHERE status IN ('valid', 'expiring', 'degraded', 'pending')
ON CONFLICT (connection_id) DO NOTHING;
ALTER TABLE validations DROP COLUMN lease_until;
DROP INDEX connections_by_status;
