"""A request that offers another protocol is answered in this one, with its body (RFC 9110 section 7.8).

Java's HTTP client offers `h2c` with each request that is not encrypted. httptools takes the offer as accepted: the
request has no body for it, and what comes next on the connection is read as another request. That loses the body, and
lets whoever writes a body write a request behind a proxy's back (RFC 9112 section 11.2).
"""

import httptools

from drio_mcp.cli.http.one_write import OneWriteProtocol

FRAMING = frozenset({b"content-length", b"transfer-encoding"})
INVALID = "Invalid HTTP request received."


class NoUpgradeProtocol(OneWriteProtocol):
    """uvicorn's HTTP/1.1 that reads on behind an offer to upgrade, and behind CONNECT."""

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            while True:
                try:
                    return self.parser.feed_data(data)
                except httptools.HttpParserUpgrade as offer:
                    data = data[offer.args[0] :]
                    self._go_on_with_the_body()
        except httptools.HttpParserError:
            self.logger.warning(INVALID)
            self.send_400_response(INVALID)

    def _go_on_with_the_body(self) -> None:
        """The parser said that the request had ended: another one reads on, and is told how the body is framed."""
        self.cycle.more_body = True
        callbacks = _Callbacks(self)
        self.parser = httptools.HttpRequestParser(callbacks)
        framing = [b"%s: %s\r\n" % header for header in self.scope["headers"] if header[0] in FRAMING]
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(framing))
        callbacks.is_head_known = False


class _Callbacks:
    """A protocol's callbacks for a parser whose first head it knows already."""

    def __init__(self, protocol: NoUpgradeProtocol) -> None:
        self._protocol = protocol
        self.is_head_known = True
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if not self.is_head_known:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self.is_head_known:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_head_known:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.is_head_known:
            self._protocol.on_headers_complete()
