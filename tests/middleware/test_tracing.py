"""OpenTelemetry: nothing without a provider; with one a span per request that holds no path and no query."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TRACED = """
import asyncio, json, sys
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

from drio_mcp.outbound import OutboundError
from tests.helpers.server import running_server

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
with running_server(Path(sys.argv[1])) as server:
    with server.client() as client:
        client.get("/setup?token=one-time-token", headers={"traceparent": PARENT})
        client.get("/connect/one-time-token")
    try:
        server.run(server.services.outbound.request("GET", "https://127.0.0.1/one-time-token"))
    except OutboundError:
        pass
spans = exporter.get_finished_spans()
print(json.dumps([json.loads(span.to_json()) for span in spans]))
"""


def test_spans_name_routes_and_follow_the_caller(tmp_path: Path) -> None:
    """In a process of its own, because a provider is set up once per process."""
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRACED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    spans = json.loads(said.stdout)
    by_name = {span["name"]: span for span in spans}
    setup = by_name["GET set_up"]
    assert setup["context"]["trace_id"] == "0x0af7651916cd43dd8448eb211c80319c"
    assert setup["attributes"]["http.request.method"] == "GET"
    assert setup["attributes"]["http.response.status_code"] in {200, 410}
    assert len(setup["attributes"]["drio.request_id"]) == 36
    assert by_name["GET upstream"]["attributes"]["error.type"] == "OutboundError"
    assert "one-time-token" not in said.stdout + said.stderr


def test_without_a_provider_nothing_of_opentelemetry_is_loaded_by_us() -> None:
    code = "import sys, drio_mcp.tracing as t; print(t.tracer(), 'opentelemetry' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "None False\n"
