"""A provider that answers at once, late or never: `python -m bench.provider --port 9000 --latency 1.0`.

`POST /token` issues an access token and a new refresh token, everything below `/hang` never answers, `/me` is an API
that takes any key in `X-Key` and wants one, and every other path is one that wants none.
"""

import argparse
import asyncio
import itertools
import json

import uvloop

numbers = itertools.count(1)


class Provider(asyncio.Protocol):
    """One connection. Requests are read as the bench sends them: head and body, one after the other."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, _, length = head.partition(b"content-length:")
            size = end + 4 + int(length.split(b"\r\n", 1)[0] or 0)
            if len(self._received) < size:
                return
            self._received = self._received[size:]
            path = head.split(b" ", 2)[1]
            if path.startswith(b"/hang"):
                return
            status, body = b"200 OK", self._token() if path.startswith(b"/token") else b'{"id":1}'
            if path.startswith(b"/me") and b"\r\nx-key:" not in head:
                status, body = b"401 Unauthorized", b"{}"
            asyncio.get_running_loop().call_later(self._latency, self._answer, status, body)

    def _token(self) -> bytes:
        number = next(numbers)
        tokens = {"access_token": f"at-{number}", "refresh_token": f"rt-{number}"}
        return json.dumps(tokens | {"token_type": "Bearer", "expires_in": 3600}).encode()

    def _answer(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(head + body)


async def serve(port: int, latency: float) -> None:
    """Answer until somebody ends the process."""
    server = await asyncio.get_running_loop().create_server(lambda: Provider(latency), "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    uvloop.run(serve(given.port, given.latency))
