"""The person at the browser: signs in, allows, revokes, by the forms that the pages show."""

from typing import Self

from tests.clients.running import EMAIL, PASSWORD
from tests.helpers.browser import Browser

MOST_STEPS = 6
REVOKE = "/account/clients/revoke"


class Person:
    """One person with one browser, which keeps them signed in."""

    def __init__(self, origin: str) -> None:
        self.browser = Browser(origin)

    def __enter__(self) -> Self:
        self.browser.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.browser.__exit__(*exc_info)

    def decide(self, url: str, decision: str = "allow") -> str:
        """Open an authorization URL, sign in where asked, decide; gives the URL that leads back to the client."""
        self.browser.open(url)
        for _ in range(MOST_STEPS):
            if self.browser.left_to is not None:
                return self.browser.left_to
            forms = self.browser.forms
            if any("password" in form.fields for form in forms):
                self.browser.sign_in(EMAIL, PASSWORD)
            elif any(("decision", decision) in form.buttons for form in forms):
                self.browser.decide(decision)
            else:
                break
        raise AssertionError(f"no way back to the client from this page:\n{self.browser.text}")

    def revoke_everything(self) -> int:
        """Revoke every connected client on the account page; gives how many there were."""
        self.browser.open("/account")
        revoked = 0
        while any(form.action == REVOKE for form in self.browser.forms):
            self.browser.submit(form_with="grant")
            revoked += 1
        return revoked
