"""What a start loads: nothing that only some requests need. Seconds and megabytes are for `bench`."""

import json
import subprocess
import sys
from pathlib import Path

START = """
import asyncio, json, sys
from drio_mcp.cli.http.server import create_app, first_link
from drio_mcp.config import load_settings
from drio_mcp.models import Model
from drio_mcp.services import build_services

async def answer():
    services = build_services(load_settings())
    app = create_app(services.settings, services=services)
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    path = "/.well-known/oauth-authorization-server"
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "state": {},
        "headers": [(b"host", b"127.0.0.1:8000")], "client": ("127.0.0.1", 1), "app": app, "http_version": "1.1",
    }
    async with app.router.lifespan_context(app):
        await first_link(services)
        await app(scope, receive, send)
    return sent[0]["status"]

def models(model):
    for each in model.__subclasses__():
        yield each
        yield from models(each)

status = asyncio.run(answer())
built = [each.__name__ for each in models(Model) if each.__pydantic_complete__]
print(json.dumps({"status": status, "modules": sorted(sys.modules), "built": built}))
"""

NOT_NEEDED = frozenset(
    {
        "drio_mcp.cli.demo.stage",
        "drio_mcp.doctor",
        "drio_mcp.pages.rendering",
        "drio_mcp.tools.registry",
        "fastmcp",
        "httpx2",
        "jinja2",
        "mcp",
        "mcp_types",
        "opentelemetry.sdk",
        "prometheus_client",
        "psycopg",
        "rich",
        "sse_starlette",
        "starlette.templating",
        "starlette.testclient",
    }
)
"""Heavy ones, each for something that not every start is asked for."""


def test_a_start_loads_nothing_that_only_some_requests_need(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START], env={"DRIO_DATA_DIR": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == 200
    assert NOT_NEEDED.isdisjoint(found["modules"])
    assert len(found["built"]) <= 5, "models are built when they are used"
