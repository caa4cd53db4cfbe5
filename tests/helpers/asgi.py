"""An HTTP client whose server is an ASGI application in the same process, for tests of one layer."""

import httpx2
from starlette.types import ASGIApp


def asgi_client(app: ASGIApp) -> httpx2.AsyncClient:
    """A client of `app`, which sees it come from 127.0.0.1."""
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 50_000))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
