"""The claims of the UserInfo endpoint (OpenID Connect Core section 5.3), as far as the scopes reach (section 5.4)."""

from typing import Any

from drio_mcp.models import Principal, Scope

CLAIMS = ("sub", "name", "picture", "email", "email_verified")
"""Advertised as part of `claims_supported`."""


def userinfo(principal: Principal) -> dict[str, Any]:
    """What `principal` may know about the person behind it; the caller has checked the scope `openid`."""
    person = principal.profile
    claims: dict[str, Any] = {"sub": principal.user_id}
    if Scope.PROFILE in principal.scopes:
        claims["name"] = person.name
        if person.image is not None:
            claims["picture"] = person.image
    if Scope.EMAIL in principal.scopes:
        claims |= {"email": person.email, "email_verified": person.is_email_verified}
    return claims
