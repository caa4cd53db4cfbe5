"""The statements of the table `client_documents`: metadata documents of clients that are named by their URL."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction


@dataclass(frozen=True, slots=True)
class ClientDocumentRow:
    """The last good copy of a document; times are in milliseconds."""

    client_id: str
    body: str
    etag: str | None
    fetched_at: int
    """When the host last vouched for this copy."""
    fresh_until: int
    """Until then it is used without asking the host; after a failure, until the next attempt."""
    failure: str | None
    """Why the last attempt to fetch it anew failed."""
    used_at: int
    jwks: str | None
    jwks_fetched_at: int | None
    jwks_fresh_until: int | None


COLUMNS = "client_id, body, etag, fetched_at, fresh_until, failure, used_at, jwks, jwks_fetched_at, jwks_fresh_until"

FIND = Query(f"SELECT {COLUMNS} FROM client_documents WHERE client_id = :client_id", ClientDocumentRow)  # noqa: S608
KEEP = Statement(
    """INSERT INTO client_documents (client_id, body, etag, fetched_at, fresh_until, used_at)
       VALUES (:client_id, :body, :etag, :now, :fresh_until, :now)
       ON CONFLICT (client_id) DO UPDATE SET
           jwks = CASE WHEN client_documents.body = excluded.body THEN client_documents.jwks ELSE NULL END,
           jwks_fresh_until = CASE WHEN client_documents.body = excluded.body
                                   THEN client_documents.jwks_fresh_until ELSE NULL END,
           body = excluded.body, etag = excluded.etag, fetched_at = excluded.fetched_at,
           fresh_until = excluded.fresh_until, failure = NULL, used_at = excluded.used_at"""
)
FAIL = Statement("UPDATE client_documents SET failure = :failure, fresh_until = :retry_at WHERE client_id = :client_id")
USE = Statement("UPDATE client_documents SET used_at = :now WHERE client_id = :client_id AND used_at < :now")
KEEP_KEYS = Statement(
    """UPDATE client_documents SET jwks = :jwks, jwks_fetched_at = :now, jwks_fresh_until = :fresh_until
       WHERE client_id = :client_id"""
)
DELAY_KEYS = Statement(
    """UPDATE client_documents SET jwks_fetched_at = :now, jwks_fresh_until = :retry_at WHERE client_id = :client_id"""
)
DELETE = Statement("DELETE FROM client_documents WHERE client_id = :client_id")
PRUNE = Statement(
    """DELETE FROM client_documents WHERE client_id IN (
           SELECT client_id FROM client_documents ORDER BY used_at DESC LIMIT 100000 OFFSET :keep)"""
)


def find(tx: Transaction, client_id: str) -> ClientDocumentRow | None:
    return tx.one(FIND, client_id=client_id)


def keep(tx: Transaction, client_id: str, body: str, etag: str | None, now: int, fresh_until: int, most: int) -> None:
    """Store a good copy; beyond `most` documents the ones that were not used for longest go."""
    tx.run(KEEP, client_id=client_id, body=body, etag=etag, now=now, fresh_until=fresh_until)
    tx.run(PRUNE, keep=most)


def fail(tx: Transaction, client_id: str, failure: str, retry_at: int) -> None:
    """Note that the host fails; the copy stays."""
    tx.run(FAIL, client_id=client_id, failure=failure, retry_at=retry_at)


def use(tx: Transaction, client_id: str, now: int) -> None:
    tx.run(USE, client_id=client_id, now=now)


def keep_keys(tx: Transaction, client_id: str, jwks: str, now: int, fresh_until: int) -> None:
    tx.run(KEEP_KEYS, client_id=client_id, jwks=jwks, now=now, fresh_until=fresh_until)


def delay_keys(tx: Transaction, client_id: str, now: int, retry_at: int) -> None:
    """Note that the key set could not be fetched; an older one stays."""
    tx.run(DELAY_KEYS, client_id=client_id, now=now, retry_at=retry_at)


def delete(tx: Transaction, client_id: str) -> None:
    tx.run(DELETE, client_id=client_id)
