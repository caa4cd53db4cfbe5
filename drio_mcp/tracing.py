"""OpenTelemetry spans, where the extra `drio-mcp[otel]` is installed and a tracer provider has been set up.

Here is only OpenTelemetry's API. Its SDK is set up from outside by its own means, which also read the standard `OTEL_…`
variables: `opentelemetry-instrument drio-mcp serve`. Without that, everything here is nothing.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanKind, Tracer


@cache
def tracer() -> "Tracer | None":
    """The tracer, or None where nobody would receive a span; decided once.

    A provider comes with the SDK, so where that has not been loaded nothing needs to be, here either.
    """
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return trace.get_tracer("drio_mcp")


@contextmanager
def span(
    name: str, attributes: Mapping[str, Any], kind: "SpanKind | None" = None, carrier: Mapping[str, str] | None = None
) -> "Iterator[Span | None]":
    """A span around the block. `carrier` has the caller's trace context (W3C Trace Context), if there is one.

    The text of an exception is not recorded, as it may hold what somebody submitted: only its type.
    """
    found = tracer()
    if found is None:
        yield None
        return
    from opentelemetry import propagate
    from opentelemetry.trace import SpanKind, Status, StatusCode

    with found.start_as_current_span(
        name,
        context=None if carrier is None else propagate.extract(carrier),
        kind=kind or SpanKind.CLIENT,
        attributes=dict(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as started:
        try:
            yield started
        except BaseException as error:
            started.set_attribute("error.type", type(error).__qualname__)
            started.set_status(Status(StatusCode.ERROR))
            raise
