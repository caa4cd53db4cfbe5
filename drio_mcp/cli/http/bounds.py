"""What one connection may cost: uvicorn remembers a head of any size, and waits for the end of a request for ever."""

import asyncio

from drio_mcp.cli.http.no_upgrade import NoUpgradeProtocol

MOST_HEAD_BYTES = 64 * 1024
"""What may arrive without ending a head or being body; so much is also what a trailer section may have."""
HEAD_SECONDS = 30.0
"""From the connection, or the first byte of a later request, to the end of the head."""
SILENT_SECONDS = 60.0
"""How long a body may pause."""
REQUEST_SECONDS = 900.0
"""From the first byte of a request to its last; as long as the proxy lets a call last."""
LOOK_EVERY = 5.0

TOO_LARGE = b"The head of the request is too large"


class BoundedProtocol(NoUpgradeProtocol):
    """uvicorn's HTTP/1.1 that ends connections which keep it waiting or remembering (RFC 9112 section 9.5).

    Costs a request two numbers; who is late is found by one timer per connection.
    """

    _unread = 0
    """Bytes since the last end of a head, piece of body or end of a request."""
    _began_at: float | None = None
    """When the request began that is arriving; None once all of it has arrived."""
    _heard_at = 0.0
    _answered_at = 0.0
    _is_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began_at = self._heard_at = self.loop.time()
        self._look_again = self.loop.call_later(LOOK_EVERY, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look_again.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_head, self._began_at = True, self.loop.time()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._is_head, self._unread = False, 0
        # RFC 9110 section 6.5.1: what comes behind the body is no header. It would bring what a proxy had removed.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._unread = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._began_at, self._unread = None, 0

    def on_response_complete(self) -> None:
        """uvicorn's, without a timer for each pause between requests: `_look` ends the long ones."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._answered_at = self.loop.time()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _look(self) -> None:
        if self._is_late():
            self.transport.close()
        else:
            self._look_again = self.loop.call_later(LOOK_EVERY, self._look)

    def _is_late(self) -> bool:
        now = self.loop.time()
        if self._began_at is None:
            return self.cycle.response_complete and now - self._answered_at > self.timeout_keep_alive
        if self._is_head:
            return now - self._began_at > HEAD_SECONDS
        is_waiting = not self.flow.read_paused  # else the application has more than it wants
        return is_waiting and (now - self._heard_at > SILENT_SECONDS or now - self._began_at > REQUEST_SECONDS)

    def _refuse(self) -> None:
        """431 (RFC 6585 section 5), unless an answer is under way."""
        if self._is_head and (self.cycle is None or self.cycle.response_complete):
            lines = (
                b"HTTP/1.1 431 Request Header Fields Too Large",
                b"content-type: text/plain; charset=utf-8",
                b"content-length: %d" % len(TOO_LARGE),
                b"connection: close",
                b"",
                TOO_LARGE,
            )
            self.transport.write(b"\r\n".join(lines))
        self.transport.close()
