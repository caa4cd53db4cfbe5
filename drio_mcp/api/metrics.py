"""`/metrics`: the numbers of `drio_mcp.metrics`, and some of the database, as Prometheus' text (DRIO_METRICS)."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from drio_mcp import __version__, metrics
from drio_mcp.accounts.sessions import IDLE_MS
from drio_mcp.api.plain_http import PlainAnswer, answering
from drio_mcp.config import Settings
from drio_mcp.errors import Unavailable
from drio_mcp.middleware.context import services_of
from drio_mcp.services import Services
from drio_mcp.store import Query, Transaction, overview, sessions, token_sets
from drio_mcp.store.overview import ConnectionCount

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def show_metrics(request: Request) -> Response:
    """`GET /metrics`, on the public port where `DRIO_METRICS=public` asks for it."""
    return Response(await exposition(services_of(request)), headers={"Content-Type": CONTENT_TYPE})


def routes(settings: Settings) -> list[Route]:
    """The route, where it was asked for."""
    return [Route("/metrics", show_metrics)] if settings.metrics == "public" else []


@contextlib.asynccontextmanager
async def shown(services: Services, listener: socket.socket | None) -> AsyncIterator[None]:
    """Show the numbers on a port of their own while the context is open.

    `prometheus_client.start_http_server` would answer in a thread, without the database's gauges.
    """

    async def answer(path: str) -> PlainAnswer:
        if path != "/metrics":
            return PlainAnswer(404, "text/plain; charset=utf-8", b"There is only /metrics\n")
        try:
            return PlainAnswer(200, CONTENT_TYPE, await exposition(services))
        except Unavailable as error:
            return PlainAnswer(error.status, "text/plain; charset=utf-8", f"{error.message}\n".encode())

    if listener is None:
        yield
        return
    async with answering(listener, answer):
        yield


async def exposition(services: Services) -> bytes:
    """Everything as text. What the database is asked for, it answers from an index."""
    from prometheus_client import generate_latest

    gauges = await services.db.read(_gauges, services.clock.now())
    gauges.append(_connections(services, await services.overview.connection_counts()))
    registry, numbers = _registry()
    others = metrics.others()
    numbers.counters, numbers.histograms = _summed(others)
    longest = services.loop_watch.longest(asyncio.get_running_loop().time())
    longest = max([longest, *(each["longest_turn"] for each in others)])
    words = "The longest turn of the event loop in the last minute."
    numbers.gauges = [*gauges, Gauge("drio_event_loop_longest_turn_seconds", words, {(): longest})]
    return generate_latest(registry)


def _summed(
    others: Sequence[Mapping[str, Any]],
) -> tuple[Sequence[metrics.Counter], Sequence[metrics.Histogram]]:
    """This process's numbers, with those of the others that serve the same port."""
    if not others:
        return metrics.COUNTERS, metrics.HISTOGRAMS
    counters = [metrics.Counter(each.name, each.description, each.labels) for each in metrics.COUNTERS]
    histograms = [
        metrics.Histogram(each.name, each.description, each.bounds, each.labels) for each in metrics.HISTOGRAMS
    ]
    for numbers in (metrics.numbers_of(), *others):
        metrics.add(numbers, counters, histograms)
    return counters, histograms


@dataclass(frozen=True, slots=True)
class Gauge:
    """Numbers of the database at this moment, by the values of the labels."""

    name: str
    description: str
    values: Mapping[tuple[str, ...], float]
    labels: tuple[str, ...] = ()


def _gauges(tx: Transaction, now: int) -> list[Gauge]:
    """What one look at the database tells."""
    live = tx.one(sessions.COUNT_LIVE, now=now, idle_since=now - IDLE_MS) or 0
    due = {
        "drio_renewals_due": ("Upstream tokens whose refresh is due and not done.", token_sets.COUNT_DUE),
        "drio_checks_due": ("Connections whose check is due and not done.", overview.COUNT_CHECKS_DUE),
        "drio_messages_due": ("Messages whose delivery is due and not done.", overview.COUNT_MESSAGES_DUE),
    }
    return [
        Gauge("drio_sessions", "Browsers in which somebody is signed in.", {(): live}),
        *(Gauge(name, words, _count(tx, query, now)) for name, (words, query) in due.items()),
    ]


def _count(tx: Transaction, query: Query[int], now: int) -> Mapping[tuple[str, ...], float]:
    count = tx.one(query, now=now)
    return {(): count or 0}


def _connections(services: Services, counts: Iterable[ConnectionCount]) -> Gauge:
    """Connections by status and by the kind of their provider: there are few kinds, but hundreds of providers."""
    values: Counter[tuple[str, ...]] = Counter()
    for each in counts:
        values[each.status, services.providers.describe(each.provider_key).kind] += each.count
    return Gauge("drio_connections", "Connections by status and kind of provider.", values, ("status", "kind"))


class Numbers:
    """Collects for prometheus_client, which writes the text and knows the process's own numbers."""

    def __init__(self) -> None:
        self.gauges: list[Gauge] = []
        self.counters: Sequence[metrics.Counter] = metrics.COUNTERS
        self.histograms: Sequence[metrics.Histogram] = metrics.HISTOGRAMS

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("drio_build", "The running program.", {"version": __version__})
        for counter in self.counters:
            yield _counter(counter)
        for histogram in self.histograms:
            yield _histogram(histogram)
        for gauge in self.gauges:
            family = GaugeMetricFamily(gauge.name, gauge.description, labels=gauge.labels)
            for labels, value in gauge.values.items():
                family.add_metric(_texts(labels), value)
            yield family


def _counter(counter: metrics.Counter) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(counter.name, counter.description, labels=counter.labels)
    if not counter.labels:
        counter.values.setdefault((), 0)
    for labels, value in list(counter.values.items()):
        family.add_metric(_texts(labels), value)
    return family


def _histogram(histogram: metrics.Histogram) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(histogram.name, histogram.description, labels=histogram.labels)
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    for labels, counts in list(histogram.counts.items()):
        buckets = [(bound, float(total)) for bound, total in zip(bounds, accumulate(counts), strict=True)]
        family.add_metric(_texts(labels), buckets, histogram.sums[labels])
    return family


def _texts(labels: Iterable[str | int]) -> list[str]:
    return [str(label) for label in labels]


@cache
def _registry() -> "tuple[CollectorRegistry, Numbers]":
    from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

    registry = CollectorRegistry()
    numbers = Numbers()
    registry.register(numbers)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry, numbers
