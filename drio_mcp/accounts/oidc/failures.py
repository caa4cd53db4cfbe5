"""Why a sign-in through the upstream provider ends without one: each reason in words for the person, and what to do."""

from typing import Literal

from drio_mcp.errors import DrioError

Reason = Literal[
    "not_ours",
    "denied",
    "interaction_required",
    "outage",
    "clock_skew",
    "misconfigured",
    "unverifiable",
    "email_missing",
    "email_unverified",
    "email_taken",
    "domain_not_allowed",
    "disabled",
]

START_AGAIN = "Start again from the sign-in page."
TELL_OPERATOR = "If it happens again, tell whoever runs this server; the request id below finds the entry in its log."

FAILURES: dict[Reason, tuple[int, str, str]] = {
    "not_ours": (
        400,
        "This return from the sign-in provider cannot be used: it was used before, took longer than 10 minutes, or was "
        "started in another browser.",
        START_AGAIN,
    ),
    "denied": (
        403,
        "The sign-in provider did not let you in: you declined, or your account there may not use this server.",
        "Try again, or ask whoever runs this server for access.",
    ),
    "interaction_required": (400, "The sign-in provider wants you to sign in there first.", START_AGAIN),
    "outage": (
        503,
        "The sign-in provider does not answer properly at the moment.",
        "Nothing is lost. Wait a minute and start again from the sign-in page.",
    ),
    "clock_skew": (
        502,
        "The clocks of this server and of the sign-in provider disagree, so the sign-in could not be verified.",
        "Whoever runs this server has to set its clock; `drio-mcp doctor` checks it.",
    ),
    "misconfigured": (
        502,
        "This server and the sign-in provider do not agree on how to work together.",
        "Whoever runs this server has to compare DRIO_OIDC_ISSUER, DRIO_OIDC_CLIENT_ID and DRIO_OIDC_CLIENT_SECRET "
        "with the provider's page for this application.",
    ),
    "unverifiable": (
        502,
        "The sign-in provider's answer could not be verified, so nobody was signed in.",
        f"{START_AGAIN} {TELL_OPERATOR}",
    ),
    "email_missing": (
        403,
        "The sign-in provider did not tell your e-mail address, which an account here needs.",
        "Add an e-mail address to your account there and allow this server to see it.",
    ),
    "email_unverified": (
        403,
        "Your e-mail address is not verified at the sign-in provider.",
        "Verify it there, then start again from the sign-in page.",
    ),
    "email_taken": (
        409,
        "Your e-mail address belongs to an account here that somebody else signs in to. Accounts are joined by their "
        "e-mail address only once, because addresses are given to others.",
        "Sign in the way you did before, or ask whoever runs this server.",
    ),
    "domain_not_allowed": (
        403,
        "Your e-mail address is in none of the domains that may use this server.",
        "Sign in with an address of your organization, or ask whoever runs this server.",
    ),
    "disabled": (403, "Your account is disabled.", "Ask whoever runs this server."),
}


class OidcSignInFailed(DrioError):
    """Nobody was signed in.

    The message says what happened, `advice` what to do, both for the person; `detail` is one line for the operator's
    log, and like every log line holds no submitted value.
    """

    code = "upstream_sign_in_failed"
    status = 400

    def __init__(self, reason: Reason, detail: str) -> None:
        self.http_status, happened, self.advice = FAILURES[reason]
        super().__init__(happened)
        self.reason = reason
        self.detail = detail
