"""Sign-in through an upstream OpenID provider (OpenID Connect Core 1.0, RFC 7636, RFC 9207)."""

from drio_mcp.accounts.oidc.failures import OidcSignInFailed
from drio_mcp.accounts.oidc.sign_in import CALLBACK_PATH, Arrival, OidcSignIn, SignInHints

__all__ = ["CALLBACK_PATH", "Arrival", "OidcSignIn", "OidcSignInFailed", "SignInHints"]
