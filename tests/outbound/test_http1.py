"""One exchange of HTTP/1.1: which answers are taken, which are refused, and when a connection is used again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from drio_mcp.outbound import OutboundError
from drio_mcp.outbound.http1 import MOST_HEAD, head_of
from tests.outbound.conftest import MakeWorld
from tests.upstreams.raw import Script, raw_server, request_head, says

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def answers_each(answer: bytes) -> Script:
    """The same answer to each request of a connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_head(reader)
            writer.write(answer)

    return script


TAKEN = {
    "a length": (OK, b"hi", 1),
    "blank around values": (b"HTTP/1.1 200 OK\r\nContent-Length:  2 \t\r\n\r\nhi", b"hi", 1),
    "an interim answer first": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, b"hi", 1),
    "chunks with extensions and trailers": (CHUNKED + b"1;a=b\r\nh\r\n1\r\ni\r\n0\r\nX-T: 1\r\n\r\n", b"hi", 1),
    "no content, whatever its length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", b"", 1),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", 1),
    "the server ends the connection": (OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), b"hi", 2),
    "HTTP/1.0": (OK.replace(b"1.1", b"1.0"), b"hi", 2),
    "something behind it": (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"hi", 2),
    "rubbish behind it": (OK + b"\r\nrubbish", b"hi", 2),
}


@pytest.mark.parametrize(("answer", "body", "connections"), TAKEN.values(), ids=TAKEN.keys())
async def test_answers_that_are_taken(world: MakeWorld, answer: bytes, body: bytes, connections: int) -> None:
    """RFC 9112 sections 6 and 9.3. What comes behind an answer never becomes the next request's."""
    async with raw_server(answers_each(answer)) as port, world(allow=[f"localhost:{port}"]) as w:
        for _ in range(2):
            response = await w.outbound.request("GET", f"http://localhost:{port}/")
            assert response.body == body
            assert "link" not in response.headers
        assert len(w.network.dialled) == connections


REFUSED = {
    "lines without CR": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "a folded header": b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 2\r\n\r\nhi",
    "blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
    "length and chunks": CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 2\r\n") + b"0\r\n\r\n",
    "a length twice": OK.replace(b"OK\r\n", b"OK\r\nContent-Length: 2\r\n"),
    "a negative length": OK.replace(b": 2", b": -2"),
    "another transfer coding": CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n",
    "another transfer coding until the end": CHUNKED.replace(b"chunked", b"gzip") + b"hi",
    "chunks cut short": CHUNKED + b"5\r\nhel",
    "another protocol": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED.keys())
async def test_answers_that_are_refused(world: MakeWorld, answer: bytes) -> None:
    """RFC 9112 sections 5 and 6: two programs might divide these in two ways."""
    async with raw_server(says(answer)) as port, world(allow=[f"localhost:{port}"]) as w:
        with pytest.raises(OutboundError, match="malformed_response"):
            await w.outbound.request("GET", f"http://localhost:{port}/")


ENDLESS = {
    "a chunk's extension": CHUNKED + b"1;" + b"x" * 2 * MOST_HEAD,
    "trailers": CHUNKED + b"2\r\nhi\r\n0\r\n" + b"X-T: x\r\n" * MOST_HEAD,
    "interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * MOST_HEAD,
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_is_no_body_has_a_limit_too(world: MakeWorld, answer: bytes) -> None:
    async with raw_server(says(answer)) as port, world(allow=[f"localhost:{port}"]) as w:
        with pytest.raises(OutboundError, match="response_too_large"):
            await w.outbound.request("GET", f"http://localhost:{port}/")


async def test_the_answer_to_head_has_no_body_whatever_it_says(world: MakeWorld) -> None:
    """RFC 9110 section 9.3.2."""
    async with raw_server(answers_each(OK.removesuffix(b"hi"))) as port, world(allow=[f"localhost:{port}"]) as w:
        for _ in range(2):
            assert (await w.outbound.request("HEAD", f"http://localhost:{port}/")).status == 200


async def test_a_body_until_the_end_of_the_connection(world: MakeWorld) -> None:
    async with raw_server(says(b"HTTP/1.1 200 OK\r\n\r\nhi")) as port, world(allow=[f"localhost:{port}"]) as w:
        assert (await w.outbound.request("GET", f"http://localhost:{port}/")).body == b"hi"


async def test_a_server_may_refuse_before_it_has_read_all(world: MakeWorld) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.write_eof()
        while await reader.read(65_536):
            pass

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(10_000)

    async with (
        raw_server(script) as port,
        world(allow=[f"localhost:{port}"]) as w,
        w.outbound.stream("POST", f"http://localhost:{port}/", content=pieces()) as answer,
    ):
        assert answer.status == 413


async def test_whoever_reads_slowly_holds_the_server_up(world: MakeWorld) -> None:
    body, sent = bytes(64 * 1024), 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1_000 * len(body)))
        for _ in range(1_000):
            writer.write(body)
            await writer.drain()
            sent += len(body)

    async with raw_server(script) as port, world(allow=[f"localhost:{port}"]) as w:
        async with w.outbound.stream("GET", f"http://localhost:{port}/") as answer:
            chunks = answer.chunks()
            read = len(await anext(chunks))
            for _ in range(100):  # turns of the loop in which a server that nobody holds up would send more and more
                before = sent
                await asyncio.sleep(0.005)
                if sent == before:
                    break
            assert sent < 1_000 * len(body), "what waits stays at the other side"
            async for chunk in chunks:
                read += len(chunk)
        assert read == 1_000 * len(body)


@pytest.mark.parametrize(
    ("method", "header"),
    [("GET /x", (b"A", b"b")), ("", (b"A", b"b")), ("GET", (b"A b", b"c")), ("GET", (b"A", b"b\x01c"))],
)
def test_what_cannot_be_sent(method: str, header: tuple[bytes, bytes]) -> None:
    """RFC 9110 sections 5.5, 5.6.2 and 9.1; RFC 9112 section 11.1."""
    with pytest.raises(ValueError, match="not a"):
        head_of(method, "/", [header])


@pytest.mark.parametrize("value", [b"", b"a b", b"a\tb", "grün".encode("latin-1")])
def test_a_head_as_it_is_sent(value: bytes) -> None:
    assert head_of("GET", "/a?b", [(b"X-A", value)]) == b"GET /a?b HTTP/1.1\r\nX-A: " + value + b"\r\n\r\n"
