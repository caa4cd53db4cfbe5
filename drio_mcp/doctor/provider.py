"""The upstream OpenID provider, if one is set: asked for what a sign-in would need."""

from dataclasses import dataclass

from drio_mcp.accounts.oidc.failures import OidcSignInFailed
from drio_mcp.accounts.oidc.provider import OidcProvider
from drio_mcp.clock import SystemClock
from drio_mcp.config import Settings
from drio_mcp.doctor.finding import Finding, failed, ok
from drio_mcp.doctor.network import HttpExchange, get
from drio_mcp.outbound import Outbound

CHECK = "sign-in provider"


@dataclass(frozen=True, slots=True)
class AskedProvider:
    """What was found, and an exchange that tells the provider's time."""

    finding: Finding
    exchange: HttpExchange


async def ask(settings: Settings) -> AskedProvider:
    """Its metadata and keys, as a sign-in reads them."""
    if settings.oidc_issuer is None:
        return AskedProvider(ok(CHECK, "none is set; people sign in with passwords"), HttpExchange())
    async with Outbound(settings) as outbound:
        provider = OidcProvider(settings, outbound, SystemClock())
        try:
            metadata = await provider.metadata()
            await provider.keys()
        except OidcSignInFailed as failure:
            return AskedProvider(
                failed(CHECK, f"{settings.oidc_issuer}: {failure.detail}", _change(failure)), HttpExchange()
            )
    exchange = await get(settings, settings.oidc_issuer.removesuffix("/") + "/.well-known/openid-configuration")
    if settings.oidc_client_secret is None and "none" not in metadata.auth_methods:
        finding = failed(CHECK, "it wants a client secret", "set DRIO_OIDC_CLIENT_SECRET")
    else:
        finding = ok(
            CHECK, f"{settings.oidc_issuer} can be used; register {settings.origin}/api/v1/auth/callback there"
        )
    return AskedProvider(finding, exchange)


def _change(failure: OidcSignInFailed) -> str:
    if "address_blocked" in failure.detail:
        return "name its host:port in DRIO_OUTBOUND_ALLOW, if a private address is meant"
    if failure.reason == "outage":
        return "make sure that this machine reaches it, and that it is up"
    return "copy the issuer from the provider's page into DRIO_OIDC_ISSUER, character by character"
