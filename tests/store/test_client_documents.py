"""Kept metadata documents, on both databases."""

from drio_mcp.store import Database, client_documents
from drio_mcp.store.client_documents import ClientDocumentRow, find


async def keep(database: Database, client_id: str, now: int, body: str = "{}", most: int = 10) -> None:
    await database.write(client_documents.keep, client_id, body, None, now, now + 60, most)


async def row(database: Database, client_id: str) -> ClientDocumentRow:
    found = await database.read(find, client_id)
    assert found is not None
    return found


async def test_the_least_used_go_when_there_are_too_many(any_database: Database) -> None:
    for number in range(3):
        await keep(any_database, f"https://{number}.example/c", now=number)
    await any_database.write(client_documents.use, "https://0.example/c", 5)
    await keep(any_database, "https://3.example/c", now=6, most=2)
    left = [number for number in range(4) if await any_database.read(find, f"https://{number}.example/c") is not None]
    assert left == [0, 3]


async def test_a_failure_keeps_the_copy_and_a_success_clears_it(any_database: Database) -> None:
    await keep(any_database, "https://a.example/c", now=1, body='{"a":1}')
    await any_database.write(client_documents.fail, "https://a.example/c", "It failed", 500)
    failed = await row(any_database, "https://a.example/c")
    assert (failed.body, failed.failure, failed.fetched_at, failed.fresh_until) == ('{"a":1}', "It failed", 1, 500)
    await keep(any_database, "https://a.example/c", now=600, body='{"a":2}')
    kept = await row(any_database, "https://a.example/c")
    assert (kept.body, kept.failure, kept.fetched_at) == ('{"a":2}', None, 600)
    await any_database.write(client_documents.delete, "https://a.example/c")
    assert await any_database.read(find, "https://a.example/c") is None


async def test_keys_outlive_a_document_that_stays_the_same_and_go_with_one_that_changes(
    any_database: Database,
) -> None:
    await keep(any_database, "https://a.example/c", now=1)
    await any_database.write(client_documents.keep_keys, "https://a.example/c", '{"keys":[]}', 2, 900)
    await keep(any_database, "https://a.example/c", now=3)
    assert (await row(any_database, "https://a.example/c")).jwks_fresh_until == 900
    await keep(any_database, "https://a.example/c", now=4, body='{"b":1}')
    changed = await row(any_database, "https://a.example/c")
    assert (changed.jwks, changed.jwks_fresh_until) == (None, None)
    await any_database.write(client_documents.delay_keys, "https://a.example/c", 5, 700)
    assert (await row(any_database, "https://a.example/c")).jwks_fresh_until == 700
