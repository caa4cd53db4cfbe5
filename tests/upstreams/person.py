"""The person who clicks: follows an authorization URL to the provider's consent page and decides."""

import html
import re
import ssl
from urllib.parse import urljoin

import httpx2


async def allow(authorization_url: str, tls: ssl.SSLContext | None = None) -> str:
    """Consents, and gives the URL that the provider sends the browser back to."""
    return await _decide(authorization_url, "allow", tls)


async def deny(authorization_url: str, tls: ssl.SSLContext | None = None) -> str:
    """Refuses, and gives the URL that the provider sends the browser back to."""
    return await _decide(authorization_url, "deny", tls)


async def _decide(authorization_url: str, decision: str, tls: ssl.SSLContext | None) -> str:
    async with httpx2.AsyncClient(trust_env=False, verify=tls or ssl.create_default_context()) as browser:
        page = await browser.get(authorization_url)
        if page.has_redirect_location:  # refused before a page was shown
            return page.headers["location"]
        assert page.status_code == 200, f"the provider shows an error page: {page.text}"
        pairs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
        form = {html.unescape(name): html.unescape(value) for name, value in pairs} | {"decision": decision}
        answer = await browser.post(urljoin(authorization_url, "/authorize"), data=form)
        assert answer.has_redirect_location, f"the provider does not send the browser back: {answer.text}"
        return answer.headers["location"]
