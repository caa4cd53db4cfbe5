"""Measures whether one account's hanging calls slow another's down: `python -m bench.shares`.

Two accounts have a connection each. The first makes 200 proxied calls to a host that never answers, and waits for them;
the second calls a host that answers at once. Its 99th percentile should stay below twice that of a quiet server.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import uvloop

from bench.background import provider
from bench.figures import Figure, table_of
from bench.load import Connection, Requests
from bench.servers import PASSWORD, free_port, running

HANGING = 200
GOAL = 2.0
SCOPE = "openid profile email connections:use"


@dataclass(frozen=True, slots=True)
class Caller:
    """An account with a token and a connection."""

    token: str
    path: str

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [("Authorization", f"Bearer {self.token}")]


def command(environment: dict[str, str], *arguments: str, told: str = "") -> str:
    """What a command of the product printed."""
    done = subprocess.run(
        [sys.executable, "-m", "drio_mcp", *arguments],
        env={**os.environ, **environment},
        input=told.encode(),
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


async def caller(environment: dict[str, str], port: int, email: str, address: str) -> Caller:
    """A new account with a connection to `address`."""
    command(environment, "users", "create", "--email", email, "--password-stdin", told=PASSWORD)
    token = command(environment, "tokens", "create", "--email", email, "--scope", SCOPE).split()[-1]
    requests, connection = Requests(port), await Connection.open(port)
    headers = [("Authorization", f"Bearer {token}")]
    apps = await connection.send(requests.plain("GET", "/api/v1/apps", headers))
    app = json.loads(apps.expect(200).body)["apps"][0]["id"]
    config = {"type": "api_key_header", "headerName": "X-Key", "apiBaseUrl": address, "apiKey": "key-of-bench"}
    body = {"name": "Api", "providerKey": "custom-api-key", "status": "valid", "config": config}
    made = await connection.send(requests.json(f"/api/v1/apps/{app}/auth", body, headers))
    auth = json.loads(made.expect(201).body)["auth"]["id"]
    connection.close()
    return Caller(token, f"/api/v1/apps/{app}/auth/{auth}/proxy")


async def latencies(port: int, who: Caller, seconds: float) -> list[float]:
    """Of calls one after the other, on four connections."""
    request = Requests(port).plain("GET", f"{who.path}/me", who.headers)
    found: list[float] = []
    until = time.perf_counter() + seconds

    async def call() -> None:
        connection = await Connection.open(port)
        while (began := time.perf_counter()) < until:
            (await connection.send(request)).expect(200)
            found.append(time.perf_counter() - began)
        connection.close()

    await asyncio.gather(*(call() for _ in range(4)))
    return found


def p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


async def measure(folder: Path, seconds: float) -> Figure:
    """The ratio of the percentiles."""
    with provider(folder, 0.0) as place:
        port = free_port()
        environment = {
            "DRIO_PORT": str(port),
            "DRIO_DATA_DIR": str(folder / "data"),
            "DRIO_OUTBOUND_ALLOW": place,
        }
        with running("drio-mcp", ["-m", "drio_mcp", "serve"], port, folder, environment):
            hog = await caller(environment, port, "hog@example.com", f"http://{place}/hang")
            other = await caller(environment, port, "other@example.com", f"http://{place}")
            await latencies(port, other, 1.0)  # to warm up
            quiet = p99(await latencies(port, other, seconds))
            request = Requests(port).plain("GET", f"{hog.path}/x", hog.headers)
            connections = [await Connection.open(port) for _ in range(HANGING)]
            hanging = [asyncio.ensure_future(connection.send(request)) for connection in connections]
            await asyncio.sleep(1.0)
            beside = p99(await latencies(port, other, seconds))
            for each in (*hanging, *connections):
                each.cancel() if isinstance(each, asyncio.Future) else each.close()
            await asyncio.gather(*hanging, return_exceptions=True)
    return Figure(
        f"p99 of another account's proxied calls beside {HANGING} that hang / quiet",
        beside / quiet,
        "times",
        GOAL,
        is_most=True,
        detail=f"{beside * 1000:.1f} / {quiet * 1000:.1f} ms",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        figure = uvloop.run(measure(Path(name), 4.0))
    sys.stdout.write(table_of([figure]) + "\n")
