"""What the hosted clients have in common: from a 401 by way of metadata to tokens and tool calls."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class HostedClient:
    """One connection of a hosted client to a server. Every request is a new one: no cookies, no connection kept."""

    mcp: str
    redirect_uri: str
    user_agent: str
    registration: dict[str, Any] = field(default_factory=dict)
    """What it registers, besides its redirect URI."""
    scope: str | None = None
    """What it asks for instead of the challenge's scope."""
    metadata: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    _verifier: str = ""
    _state: str = ""

    def request(self, method: str, url: str, **arguments: Any) -> httpx2.Response:
        headers = {"User-Agent": self.user_agent, **arguments.pop("headers", {})}
        with httpx2.Client(trust_env=False, headers=headers) as http:
            return http.request(method, url, **arguments)

    def discover(self) -> None:
        """RFC 9728 section 5, RFC 8414 section 3: follow the challenge of a request without a token."""
        refused = self.rpc("initialize", INITIALIZE)
        assert refused.status_code == 401
        challenge = dict(CHALLENGE.findall(refused.headers["www-authenticate"]))
        resource = self.request("GET", challenge["resource_metadata"]).json()
        assert resource["resource"] == self.mcp
        issuer = resource["authorization_servers"][0]
        self.metadata = self.request("GET", f"{issuer}/.well-known/oauth-authorization-server").json()
        assert self.metadata["issuer"] == issuer
        assert "S256" in self.metadata["code_challenge_methods_supported"]
        self.scope = self.scope or challenge["scope"]

    def register(self) -> None:
        """RFC 7591 section 3.1."""
        body = {"redirect_uris": [self.redirect_uri], **self.registration}
        answer = self.request("POST", self.metadata["registration_endpoint"], json=body)
        assert answer.status_code == 201, answer.text
        self.client = answer.json()

    def authorization_url(self) -> str:
        """RFC 6749 section 4.1.1 with PKCE and the resource of RFC 8707."""
        self._verifier, self._state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        digest = hashlib.sha256(self._verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client["client_id"],
            "redirect_uri": self.redirect_uri,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "state": self._state,
            "scope": self.scope,
            "resource": self.mcp,
        }
        return f"{self.metadata['authorization_endpoint']}?{urlencode(query)}"

    def redeem(self, callback: str) -> httpx2.Response:
        """RFC 6749 section 4.1.3, after the checks of section 10.12 and RFC 9207."""
        assert callback.startswith(f"{self.redirect_uri}?")
        answer = {name: values[0] for name, values in parse_qs(urlsplit(callback).query).items()}
        assert answer["state"] == self._state
        assert answer["iss"] == self.metadata["issuer"]
        return self._token(
            {
                "grant_type": "authorization_code",
                "code": answer["code"],
                "redirect_uri": self.redirect_uri,
                "code_verifier": self._verifier,
            }
        )

    def refresh(self) -> httpx2.Response:
        """RFC 6749 section 6."""
        return self._token({"grant_type": "refresh_token", "refresh_token": self.tokens["refresh_token"]})

    def revoke(self) -> httpx2.Response:
        """RFC 7009 section 2.1."""
        form = {"token": self.tokens["refresh_token"], **self._credentials()}
        return self.request("POST", self.metadata["revocation_endpoint"], data=form)

    def _token(self, form: dict[str, str]) -> httpx2.Response:
        form = {**form, "resource": self.mcp, **self._credentials()}
        answer = self.request("POST", self.metadata["token_endpoint"], data=form)
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    def _credentials(self) -> dict[str, str]:
        """`client_secret_post`, which the hosted clients use; a public client has its id alone."""
        names = ("client_id", "client_secret")
        return {name: self.client[name] for name in names if name in self.client}

    def rpc(self, method: str, params: dict[str, Any], version: str = "2025-11-25") -> httpx2.Response:
        """One MCP message in a session of its own."""
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
        if self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self.request("POST", self.mcp, json=message, headers=headers)

    def email(self) -> str:
        """Whose account it is, by the tool `get_me`."""
        answer = self.rpc("tools/call", {"name": "get_me", "arguments": {}})
        assert answer.status_code == 200, answer.text
        told: str = answer.json()["result"]["structuredContent"]["user"]["email"]
        return told


INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "hosted", "version": "1"}}
