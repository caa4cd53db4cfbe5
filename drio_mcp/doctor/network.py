"""What is seen over the network: our own port, the public URL, what stands there, the proxy in between, the clock."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from drio_mcp.clock import SECOND, SystemClock
from drio_mcp.config import Settings
from drio_mcp.doctor.finding import Finding, failed, ok, warning
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse

FORGED = "203.0.113.77"
"""An address for documentation (RFC 5737), which no request comes from."""
SKEW_MS = 30 * SECOND
TIMEOUT = 5.0

UNREACHABLE = {
    "dns_failure": "make a DNS record for that name, or correct DRIO_PUBLIC_URL",
    "tls_failure": "give the proxy in front a valid certificate for that name (Caddy gets one by itself)",
    "timeout": "open the port in the firewall, and let the proxy pass requests on to DRIO_HOST:DRIO_PORT",
}


@dataclass(frozen=True, slots=True)
class HttpExchange:
    """A request, and its answer or why there was none. `skew` is in milliseconds, positive when we are behind."""

    answer: OutboundResponse | None = None
    error: OutboundError | None = None
    skew: int | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """The server as it was reached at its own port, and at its public URL."""

    local: HttpExchange
    public: HttpExchange


async def reach(settings: Settings) -> Reached:
    """Ask both for `/healthz`."""
    local = f"http://{_local_authority(settings)}"
    return Reached(await get(settings, f"{local}/healthz"), await get(settings, f"{settings.origin}/healthz"))


async def get(settings: Settings, url: str, headers: dict[str, str] | None = None) -> HttpExchange:
    """Fetch a URL that the operator configured, wherever it leads."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.netloc if parts.port else f"{parts.netloc}:{port}"
    reachable = settings.model_copy(update={"outbound_allow": (host.lower(),)})
    clock = SystemClock()
    async with Outbound(reachable) as outbound:
        began = clock.now()
        try:
            answer = await outbound.request("GET", url, headers=headers, timeout=TIMEOUT)
        except OutboundError as error:
            return HttpExchange(error=error)
        return HttpExchange(answer, skew=_skew(answer, (began + clock.now()) // 2))


def port(settings: Settings, reached: Reached) -> Finding:
    """Who has our port."""
    place = f"{settings.host}:{settings.port}"
    answer, error = reached.local.answer, reached.local.error
    if answer is not None and "x-request-id" in answer.headers:
        return ok("port", f"drio-mcp answers on {place}")
    if error is not None and error.code == "endpoint_unreachable":
        return ok("port", f"{place} is free; no server is running here")
    return failed("port", f"another program has {place}", "stop it, or name another port in DRIO_PORT")


def public_url(settings: Settings, reached: Reached) -> Finding:
    """Whether the address that clients are told leads here."""
    answer, error = reached.public.answer, reached.public.error
    origin = settings.origin
    if error is not None and reached.local.answer is None:
        return warning("public URL", "no server is running", "start drio-mcp serve, then run doctor again")
    if error is not None:
        change = UNREACHABLE.get(error.code, "let the proxy pass requests on to DRIO_HOST:DRIO_PORT")
        return failed("public URL", f"{origin} cannot be reached: {error.sentence}", change)
    assert answer is not None
    if answer.status != 200 or "x-request-id" not in answer.headers:
        return failed(
            "public URL",
            f"{origin} answers {answer.status}, but not from drio-mcp",
            "let the proxy pass all paths of that name on to DRIO_HOST:DRIO_PORT",
        )
    if settings.is_loopback:
        return warning(
            "public URL",
            f"{origin} works on this computer only",
            "for clients elsewhere set DRIO_PUBLIC_URL to an https address",
        )
    return ok("public URL", f"{origin} leads to drio-mcp")


async def metadata(settings: Settings, reached: Reached) -> Finding:
    """Whether what stands there names itself as these settings do (RFC 8414 section 3.3, RFC 9728 section 3.3)."""
    for path, member, expected in (
        ("/.well-known/oauth-protected-resource/mcp", "resource", settings.resource),
        ("/.well-known/oauth-authorization-server", "issuer", settings.origin),
    ):
        exchange = await get(settings, settings.origin + path)
        document = _json(exchange.answer)
        if document is None:
            return failed("metadata", f"{path} is not to be had", "let the proxy pass /.well-known/ on unchanged")
        if document.get(member) != expected:
            return failed(
                "metadata",
                f"the running server's {member} is not {expected}, so clients refuse it",
                f"start the server with DRIO_PUBLIC_URL={settings.origin}",
            )
    return ok("metadata", f"issuer and resource are those of {settings.origin}")


async def proxy(settings: Settings, reached: Reached) -> Finding:
    """Whether the server learns where requests come from, and cannot be told lies about it."""
    wide = [each for each in settings.trusted_proxies if ip_network(each).prefixlen == 0]
    if wide:
        return failed(
            "proxy", f"DRIO_TRUSTED_PROXIES holds {wide[0]}, so anybody may claim any address",
            "name the proxy's own address only, such as 127.0.0.1/32",
        )  # fmt: skip
    seen = await _seen_address(settings, {})
    if await _seen_address(settings, {"X-Forwarded-For": FORGED}) == FORGED:
        # From the proxy's own machine an honest list looks the same as a forged one.
        judge = warning if isinstance(seen, str) and _is_trusted(settings, seen) else failed
        return judge(
            "proxy",
            "the server believes an X-Forwarded-For that the client made up, so limits per address protect nobody",
            "let the proxy set the header anew (nginx: $remote_addr; Caddy does), or run doctor on another machine",
        )
    if not settings.is_loopback and isinstance(seen, str) and _is_inside(seen) and not settings.trusted_proxies:
        return failed(
            "proxy",
            f"all requests seem to come from {seen}, so one client's failed attempts lock out everybody",
            f"set DRIO_TRUSTED_PROXIES={seen}/{32 if '.' in seen else 128}",
        )
    return ok("proxy", f"requests from here are seen to come from {seen}")


def clock(exchanges: Sequence[HttpExchange], database_skew: int | None) -> Finding:
    """Our clock against those that could be asked."""
    skews = [each.skew for each in exchanges if each.skew is not None]
    if database_skew is not None:
        skews.append(database_skew)
    if not skews:
        return ok("clock", "nobody could be asked for the time")
    worst = max(skews, key=abs)
    if abs(worst) > SKEW_MS:
        return failed(
            "clock",
            f"it is {abs(worst) // SECOND} s {'behind' if worst > 0 else 'ahead of'} others, so tokens expire wrongly",
            "turn on time synchronization: timedatectl set-ntp true",
        )
    return ok("clock", "it agrees with the others")


def _local_authority(settings: Settings) -> str:
    """Where a process on this machine reaches our port."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"


def _skew(answer: OutboundResponse, now: int) -> int | None:
    """From the answer's `Date` (RFC 9110 section 6.6.1), which has whole seconds."""
    try:
        told = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return None
    return round(told.timestamp() * 1000) - now


def _json(answer: OutboundResponse | None) -> dict[str, object] | None:
    if answer is None or answer.status != 200:
        return None
    try:
        document = json.loads(answer.body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


async def _seen_address(settings: Settings, headers: dict[str, str]) -> object:
    """From where the server thinks that a request of ours comes."""
    asked = await get(settings, f"{settings.origin}/healthz?address", headers)
    return (_json(asked.answer) or {}).get("address")


def _is_trusted(settings: Settings, address: str) -> bool:
    try:
        return any(ip_address(address) in ip_network(each) for each in settings.trusted_proxies)
    except ValueError:
        return False


def _is_inside(address: str) -> bool:
    """Whether the address is one of this machine or network, where no client from the internet can be."""
    try:
        return not ip_address(address).is_global
    except ValueError:
        return False
