"""The operators' pages that only show: connections, clients, grants, jobs, and what the doctor finds."""

from collections import Counter

from starlette.responses import Response

from drio_mcp import metrics
from drio_mcp.accounts.directory import Administrator
from drio_mcp.accounts.overview import END, START
from drio_mcp.connections.record.schemas import Status
from drio_mcp.doctor.examination import examine_running
from drio_mcp.middleware.context import services_of
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.oauth.clients import ClientKind
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.client_consent import access_in_words
from drio_mcp.pages.connection_state import LABELS
from drio_mcp.pages.operator_area import next_page, operator_page, operators_only, place_of

FIRST = (Status.NEEDS_REAUTH, Status.INVALID, Status.DEGRADED)
"""What somebody has to look at stands first."""
BROKEN = (Status.NEEDS_REAUTH, Status.INVALID)
KINDS = {ClientKind.PREREGISTERED: "Entered by an operator", ClientKind.DYNAMIC: "Registered itself"}
LEVELS = {"ok": ("valid", "ok"), "warning": ("degraded", "warning"), "failed": ("invalid", "failed")}
"""How a finding of the doctor looks, and what it is called."""


@operators_only("overview")
async def show_overview(browser: Browser, by: Administrator) -> Response:
    """GET /operator."""
    overview = services_of(browser.request).overview
    statuses: Counter[str] = Counter()
    for each in await overview.connection_counts():
        statuses[each.status] += each.count
    ordered = sorted(statuses, key=lambda status: (status not in FIRST, status))
    return operator_page(
        browser,
        "operator.html",
        "overview",
        statuses=[(status, LABELS[Status(status)], statuses[status]) for status in ordered],
        backlog=await overview.backlog(),
        failed=sorted(name for name, state in metrics.jobs().items() if state.is_failed),
    )


@operators_only("connections")
async def show_connections(browser: Browser, by: Administrator) -> Response:
    """GET /operator/connections: how many of which status where; with `status` and `provider` those themselves, and
    with `broken` all that do not work."""
    services, query = services_of(browser.request), browser.request.query_params
    if "broken" in query:
        return await _show_broken(browser)
    status, provider_key = query.get("status", ""), query.get("provider", "")
    if status not in {each.value for each in Status} or services.providers.find(provider_key) is None:
        counts = await services.overview.connection_counts()
        rows = sorted(counts, key=lambda each: (each.status not in FIRST, each.status, each.provider_key))
        names = {each.provider_key: services.providers.describe(each.provider_key).name for each in counts}
        return operator_page(browser, "operator_connections.html", "connections", rows=rows, names=names, labels=LABELS)
    found, place = await services.overview.connections(status, provider_key, place_of(browser, START))
    return operator_page(
        browser,
        "operator_connection_list.html",
        "connections",
        provider=services.providers.describe(provider_key).name,
        status_value=status,
        label=LABELS[Status(status)],
        connections=found,
        more=next_page("/operator/connections", place, status=status, provider=provider_key),
    )


async def _show_broken(browser: Browser) -> Response:
    """Everything that somebody has to mend, on one page."""
    services = services_of(browser.request)
    found, has_more = await services.overview.broken(BROKEN)
    groups = [
        (kind, services.providers.describe(kind.provider_key).name, [(each, _reason(each.last_error)) for each in rows])
        for kind, rows in sorted(found, key=lambda group: (BROKEN.index(Status(group[0].status)), -group[0].count))
    ]
    return operator_page(
        browser, "operator_broken.html", "connections", groups=groups, has_more=has_more, labels=LABELS
    )


def _reason(last_error: str | None) -> str:
    """What was recorded, without the code before it."""
    return (last_error or "").partition(": ")[2]


@operators_only("clients")
async def show_clients(browser: Browser, by: Administrator) -> Response:
    """GET /operator/clients: the three kinds."""
    services = services_of(browser.request)
    registered = {words: await services.clients.list(kind) for kind, words in KINDS.items()}
    return operator_page(
        browser,
        "operator_clients.html",
        "clients",
        registered={
            words: [(each, harmless_name(each.name)) for each in clients] for words, clients in registered.items()
        },
        documents=await services.overview.documents(),
    )


@operators_only("grants")
async def show_grants(browser: Browser, by: Administrator) -> Response:
    """GET /operator/grants: who allowed which client what."""
    found, place = await services_of(browser.request).overview.grants(place_of(browser, END))
    return operator_page(
        browser,
        "operator_grants.html",
        "grants",
        grants=[
            (each, harmless_name(each.client_name), access_in_words(frozenset(each.scopes.split()))) for each in found
        ],
        more=next_page("/operator/grants", place),
    )


@operators_only("jobs")
async def show_jobs(browser: Browser, by: Administrator) -> Response:
    """GET /operator/jobs: what this process did last, and what waits in the database for whichever process."""
    backlog = await services_of(browser.request).overview.backlog()
    return operator_page(browser, "operator_jobs.html", "jobs", jobs=sorted(metrics.jobs().items()), backlog=backlog)


@operators_only("doctor")
async def show_doctor(browser: Browser, by: Administrator) -> Response:
    """GET /operator/doctor; with `run`, the examination, which takes some seconds."""
    settings = services_of(browser.request).settings
    findings = await examine_running(settings) if "run" in browser.request.query_params else None
    return operator_page(browser, "operator_doctor.html", "doctor", findings=findings, levels=LEVELS)
