"""Authlib's `OAuth2Session`, with a confidential client that it registered."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

from tests.clients.driver import obey, open_in_browser

REDIRECT_URI = "http://localhost:43210/callback"
MCP_HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


class Application:
    """A program that calls tools with nothing but an OAuth library."""

    def __init__(self) -> None:
        self.mcp = ""
        self.metadata: dict[str, Any] = {}
        self.session: Any = None

    async def connect(self, command: dict[str, Any]) -> dict[str, Any]:
        self.mcp = command["url"]
        parts = urlsplit(self.mcp)
        where = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server"
        self.metadata = requests.get(where, timeout=10).json()
        body = {
            "client_name": "Authlib",
            "redirect_uris": [REDIRECT_URI],
            "token_endpoint_auth_method": "client_secret_basic",
        }
        client = requests.post(self.metadata["registration_endpoint"], json=body, timeout=10).json()
        self.session = OAuth2Session(
            client["client_id"],
            client["client_secret"],
            token_endpoint_auth_method=client["token_endpoint_auth_method"],
            scope="openid profile email",
            redirect_uri=REDIRECT_URI,
            code_challenge_method="S256",
            token_endpoint=self.metadata["token_endpoint"],
        )
        verifier = generate_token(48)
        url, state = self.session.create_authorization_url(
            self.metadata["authorization_endpoint"], code_verifier=verifier, resource=self.mcp
        )
        callback = open_in_browser(url)
        token = self.session.fetch_token(authorization_response=callback, state=state, code_verifier=verifier)
        return {"scope": token["scope"]}

    async def call(self, command: dict[str, Any]) -> Any:
        response = self._post(command["name"])
        if response.status_code == 401:
            self.session.refresh_token(self.metadata["token_endpoint"])
            response = self._post(command["name"])
        response.raise_for_status()
        return response.json()["result"]["structuredContent"]

    def _post(self, name: str) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}
        return self.session.post(self.mcp, json=message, headers=MCP_HEADERS)

    async def introspect(self, _: dict[str, Any]) -> Any:
        answer = self.session.introspect_token(
            self.metadata["introspection_endpoint"], token=self.session.token["access_token"]
        )
        return answer.json()

    async def revoke(self, _: dict[str, Any]) -> None:
        token = self.session.token["refresh_token"]
        self.session.revoke_token(self.metadata["revocation_endpoint"], token=token).raise_for_status()


def main() -> None:
    application = Application()
    names = ("connect", "call", "introspect", "revoke")
    asyncio.run(obey({name: getattr(application, name) for name in names}))


if __name__ == "__main__":
    main()
