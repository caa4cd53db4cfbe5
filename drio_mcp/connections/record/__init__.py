"""The connection itself: schemas, loading and storing, status, history, sealing, keys, idempotency."""
