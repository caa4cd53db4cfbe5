"""The way out over real connections. Public names lead to loopback servers by the injected network alone."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from drio_mcp.config import Settings
from drio_mcp.outbound import Outbound, OutboundError
from drio_mcp.outbound.shares import OutboundBusy, Share
from tests.outbound.conftest import PUBLIC, MakeWorld
from tests.upstreams import Site, answers, redirects, upstream
from tests.upstreams.raw import Script, drips, raw_server, request_head, says, silent
from tests.upstreams.tls import CertificateAuthority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def head(*lines: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", *lines, "", "")).encode()


async def failure(outbound: Outbound, url: str, method: str = "GET", timeout: float = 5.0, follow: bool = False) -> str:
    with pytest.raises(OutboundError) as raised:
        await outbound.request(method, url, timeout=timeout, follow=follow)
    assert str(raised.value) == f"{raised.value.code}: {raised.value.sentence}"
    return raised.value.code


# Addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.0.0.8",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
        "[64:ff9b::a00:1]",
    ],
)
async def test_a_private_address_is_not_dialled(world: MakeWorld, host: str) -> None:
    async with world() as w:
        assert await failure(w.outbound, f"https://{host}/") == "address_blocked"
        assert w.network.dialled == []


async def test_a_name_is_refused_when_one_of_its_addresses_is_private(world: MakeWorld) -> None:
    async with world(names={"example.com": [[PUBLIC, "10.0.0.1"]]}) as w:
        assert await failure(w.outbound, "https://example.com/") == "address_blocked"
        assert w.network.dialled == []


async def test_dns_rebinding_gains_nothing(world: MakeWorld, authority: CertificateAuthority) -> None:
    """The answer that was judged is the one that is dialled; a later answer is judged anew."""
    async with (
        raw_server(
            says(OK.replace(b"200 OK", b"200 OK\r\nConnection: close")), authority.server_context("example.com")
        ) as port,
        world(names={"example.com": [[PUBLIC], ["127.0.0.1"]]}, port=port) as w,
    ):
        assert (await w.outbound.request("GET", "https://example.com/")).body == b"ok"
        assert w.names.asked == ["example.com"]
        assert w.network.dialled == [(PUBLIC, 443)]
        assert await failure(w.outbound, "https://example.com/") == "address_blocked"
        assert w.network.dialled == [(PUBLIC, 443)]


async def test_the_next_address_is_tried_when_one_is_dead(world: MakeWorld, authority: CertificateAuthority) -> None:
    async with raw_server(says(OK), authority.server_context("example.com")) as port:
        names = {"example.com": [["1.1.1.1", PUBLIC]]}
        async with world(names=names, port=port, dead=frozenset({"1.1.1.1"})) as w:
            assert (await w.outbound.request("GET", "https://example.com/")).status == 200
            assert w.network.dialled == [("1.1.1.1", 443), (PUBLIC, 443)]


async def test_an_unknown_name_and_one_without_addresses(world: MakeWorld) -> None:
    async with world(names={"empty.example": [[]]}) as w:
        assert await failure(w.outbound, "https://nowhere.example/") == "dns_failure"
        assert await failure(w.outbound, "https://empty.example/") == "dns_failure"


async def test_a_name_server_that_never_answers(world: MakeWorld) -> None:
    class Stuck:
        async def resolve(self, host: str, port: int) -> list[str]:
            await asyncio.Event().wait()
            return []

    async with Outbound(Settings(), resolver=Stuck()) as outbound:
        assert await failure(outbound, "https://example.com/", timeout=0.05) in {"dns_failure", "timeout"}


# The operator's list


async def test_the_list_is_compared_as_written(world: MakeWorld) -> None:
    """Contract section 3: `localhost:9000` does not allow `127.0.0.1:9000`."""
    async with raw_server(says(OK)) as port, world(allow=[f"localhost:{port}"]) as w:
        assert (await w.outbound.request("GET", f"http://localhost:{port}/")).body == b"ok"
        assert await failure(w.outbound, f"http://127.0.0.1:{port}/") == "address_blocked"
        assert await failure(w.outbound, f"https://127.0.0.1:{port}/") == "address_blocked"
        assert await failure(w.outbound, f"https://localhost:{port + 1}/") == "address_blocked"


async def test_an_address_on_the_list_does_not_allow_a_name_for_it(world: MakeWorld) -> None:
    async with raw_server(says(OK)) as port, world(allow=[f"127.0.0.1:{port}"]) as w:
        assert (await w.outbound.request("GET", f"http://127.0.0.1:{port}/")).status == 200
        assert await failure(w.outbound, f"https://localhost:{port}/") == "address_blocked"


async def test_plain_http_is_for_the_list_alone(world: MakeWorld) -> None:
    """RFC 9700 section 2.6 and RFC 6749 section 3: TLS wherever credentials travel."""
    async with world() as w:
        assert await failure(w.outbound, "http://example.com/") == "address_blocked"
        assert w.names.asked == []


async def test_an_ipv6_address_on_the_list_is_written_in_brackets(world: MakeWorld) -> None:
    async with raw_server(says(OK)) as port, world(allow=["[::1]:9000"], port=port) as w:
        assert (await w.outbound.request("GET", "http://[0:0:0:0:0:0:0:1]:9000/")).status == 200
        assert w.network.dialled == [("::1", 9000)]
        assert await failure(w.outbound, "http://[::1]:9001/") == "address_blocked"


# TLS


async def test_the_certificate_must_be_for_the_name_whatever_address_was_dialled(
    world: MakeWorld, authority: CertificateAuthority
) -> None:
    async with raw_server(says(OK), authority.server_context(PUBLIC, "other.example")) as port, world(port=port) as w:
        with pytest.raises(OutboundError, match="tls_failure: The certificate is for another host name"):
            await w.outbound.request("GET", "https://example.com/")


async def test_a_certificate_for_an_address(world: MakeWorld, authority: CertificateAuthority) -> None:
    async with raw_server(says(OK), authority.server_context(PUBLIC)) as port, world(port=port) as w:
        assert (await w.outbound.request("GET", f"https://{PUBLIC}/")).status == 200
        assert await failure(w.outbound, "https://1.1.1.1/") == "tls_failure"


@pytest.mark.parametrize("fault", ["foreign", "expired"])
async def test_a_certificate_that_proves_nothing(world: MakeWorld, authority: CertificateAuthority, fault: str) -> None:
    issuer = CertificateAuthority() if fault == "foreign" else authority
    tls = issuer.server_context("example.com", expired=fault == "expired")
    async with raw_server(says(OK), tls) as port, world(port=port) as w:
        assert await failure(w.outbound, "https://example.com/") == "tls_failure"


async def test_a_server_that_speaks_no_tls(world: MakeWorld) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await reader.read()

    async with raw_server(script) as port, world(port=port) as w:
        assert await failure(w.outbound, "https://example.com/") == "tls_failure"


async def test_sni_and_host_carry_the_name(world: MakeWorld, authority: CertificateAuthority) -> None:
    """RFC 6066 section 3 and RFC 9110 section 7.2."""
    seen: list[object] = []
    context = authority.server_context("example.com")
    context.sni_callback = lambda socket, name, context: seen.append(name)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request_head(reader))
        writer.write(OK)

    async with raw_server(script, context) as port, world(port=port) as w:
        await w.outbound.request("GET", "https://EXAMPLE.com./x", headers={"Host": "evil.example", "X-A": "1"})
    assert seen[0] == "example.com"
    request = bytes(seen[1])  # type: ignore[call-overload]
    assert request.startswith(b"GET /x HTTP/1.1\r\nHost: example.com\r\n")
    assert b"evil" not in request
    assert b"x-a: 1" in request.lower()


async def test_the_environment_names_no_proxy_but_may_name_the_authorities(
    world: MakeWorld,
    authority: CertificateAuthority,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    bundle = tmp_path_factory.mktemp("ca") / "bundle.pem"
    bundle.write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with upstream(Site(), name="localhost", authority=authority) as site:
        async with Outbound(Settings(outbound_allow=(site.host_port,))) as outbound:
            assert (await outbound.request("GET", site.origin)).status == 200


# Redirects


async def test_a_redirect_is_an_error_unless_asked_for() -> None:
    with upstream(Site()) as site:
        site.faults.at("site", redirects("/other"))
        async with Outbound(Settings(outbound_allow=(site.host_port,))) as outbound:
            assert await failure(outbound, site.origin) == "redirect_refused"
            assert await failure(outbound, site.origin, method="POST", follow=True) == "redirect_refused"
            assert site.log.count("elsewhere") == 0


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:1/", "https://169.254.169.254/latest/", "https://[::1]/", "file:///etc/passwd", "https://a@b/"],
)
async def test_a_redirect_to_a_place_that_is_not_called(location: str) -> None:
    with upstream(Site()) as site:
        site.faults.at("site", redirects(location))
        async with Outbound(Settings(outbound_allow=(site.host_port,))) as outbound:
            assert await failure(outbound, site.origin, follow=True) in {"redirect_refused", "address_blocked"}


async def test_a_redirect_never_leaves_https(authority: CertificateAuthority) -> None:
    with upstream(Site()) as plain, upstream(Site(), name="localhost", authority=authority) as secure:
        secure.faults.at("site", redirects(plain.origin))
        allow = (plain.host_port, secure.host_port)
        async with Outbound(Settings(outbound_allow=allow), tls=authority.client_context()) as outbound:
            assert await failure(outbound, secure.origin, follow=True) == "redirect_refused"
        assert plain.log.entries == []


async def test_credentials_do_not_follow_to_another_origin() -> None:
    with upstream(Site()) as first, upstream(Site()) as second:
        first.faults.at("site", redirects(f"{first.origin}/here", 307), times=1)
        first.faults.at("elsewhere", redirects(f"{second.origin}/"), times=1)
        headers = {"Authorization": "Bearer t", "X-Api-Key": "k", "Cookie": "c=d", "Accept": "application/json"}
        async with Outbound(Settings(outbound_allow=(first.host_port, second.host_port))) as outbound:
            answer = await outbound.request("GET", first.origin, headers=headers, follow=True)
    assert answer.url == f"{second.origin}/"
    assert first.log.of("elsewhere")[0].headers["authorization"] == "Bearer t"
    received = second.log.of("site")[0].headers
    assert received["accept"] == "application/json"
    assert not {"authorization", "x-api-key", "cookie"} & set(received)


async def test_redirects_in_a_circle_end() -> None:
    with upstream(Site()) as site:
        site.faults.at("site", redirects("/"))
        async with Outbound(Settings(outbound_allow=(site.host_port,))) as outbound:
            assert await failure(outbound, site.origin, follow=True) == "redirect_refused"
        assert site.log.count("site") == 4


# Limits of time and size


@pytest.mark.parametrize(
    "script",
    [
        silent(),
        drips(b"HTTP/1.1 200 OK\r\n", b"X-More: header\r\n", interval=0.02),
        drips(head("Content-Length: 1000000"), b"x", interval=0.02),
        drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", interval=0.02),
    ],
    ids=["silence", "slow headers", "slow body", "endless hints"],
)
async def test_the_deadline_covers_everything(world: MakeWorld, script: Script) -> None:
    async with raw_server(script) as port, world(allow=[f"localhost:{port}"]) as w:
        assert await failure(w.outbound, f"http://localhost:{port}/", timeout=0.2) == "timeout"


CLOSE = "Connection: close"
BOMB = bytes(50_000_000)
UNREAD = {
    "declared": (head("Content-Length: 5000000000") + b"x", "response_too_large"),
    "chunked": (head("Transfer-Encoding: chunked") + b"100001\r\n" + b"x" * 0x100001 + b"\r\n", "response_too_large"),
    "until close": (head(CLOSE) + b"x" * (1024 * 1024 + 1), "response_too_large"),
    "headers": (head("X-Big: " + "x" * 200_000), "response_too_large"),
    "gzip bomb": (head("Content-Encoding: gzip", CLOSE) + gzip.compress(BOMB), "response_too_large"),
    "deflate bomb": (head("Content-Encoding: deflate", CLOSE) + zlib.compress(BOMB), "response_too_large"),
    "broken gzip": (head("Content-Encoding: gzip", CLOSE) + b"abc", "malformed_response"),
    "brotli": (head("Content-Encoding: br", CLOSE) + b"abc", "malformed_response"),
    "twice gzip": (head("Content-Encoding: gzip, gzip", CLOSE) + b"abc", "malformed_response"),
    "not http": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "malformed_response"),
    "two lengths": (head("Content-Length: 5", "Content-Length: 6") + b"123456", "malformed_response"),
    "cut short": (head("Content-Length: 10") + b"12345", "malformed_response"),
    "no answer": (b"", "endpoint_unreachable"),
}


@pytest.mark.parametrize(("answer", "code"), UNREAD.values(), ids=UNREAD.keys())
async def test_answers_that_are_not_read(world: MakeWorld, answer: bytes, code: str) -> None:
    async with raw_server(says(answer)) as port, world(allow=[f"localhost:{port}"]) as w:
        assert await failure(w.outbound, f"http://localhost:{port}/") == code


async def test_a_body_of_exactly_the_limit_is_read_compressed_or_not(world: MakeWorld) -> None:
    body = b"y" * 1000
    for answer in (
        head("Content-Length: 1000") + body,
        head("Content-Encoding: gzip", "Connection: close") + gzip.compress(body),
    ):
        async with raw_server(says(answer)) as port, world(allow=[f"localhost:{port}"]) as w:
            url = f"http://localhost:{port}/"
            assert (await w.outbound.request("GET", url, max_bytes=1000)).body == body
            with pytest.raises(OutboundError, match="response_too_large"):
                await w.outbound.request("GET", url, max_bytes=999)


async def test_nobody_listens() -> None:
    with upstream(Site()) as gone:
        pass
    async with Outbound(Settings(outbound_allow=(gone.host_port,))) as outbound:
        assert await failure(outbound, gone.origin) == "endpoint_unreachable"


async def test_a_slow_host_does_not_take_every_connection(world: MakeWorld) -> None:
    async with raw_server(silent()) as slow, raw_server(says(OK)) as quick:
        allow = [f"localhost:{slow}", f"127.0.0.1:{quick}", f"localhost:{quick}"]
        async with world(allow=allow, share=Share(9, 9, to_host=1, patience=0.1)) as w:
            waiting = asyncio.create_task(failure(w.outbound, f"http://localhost:{slow}/", timeout=0.4))
            await asyncio.sleep(0)
            with pytest.raises(OutboundBusy):  # nothing was asked, so nothing is said about the host
                await w.outbound.request("GET", f"http://localhost:{slow}/", timeout=0.1)
            assert (await w.outbound.request("GET", f"http://127.0.0.1:{quick}/")).status == 200
            assert await waiting == "timeout"
            assert (await w.outbound.request("GET", f"http://localhost:{quick}/")).status == 200


# What is sent


async def test_a_header_value_that_cannot_be_sent_is_named_as_such() -> None:
    with upstream(Site()) as site:
        async with Outbound(Settings(outbound_allow=(site.host_port,))) as outbound:
            for value in ("schlüssel", "a\r\nX-Injected: 1"):
                with pytest.raises(OutboundError, match="missing_configuration") as raised:
                    await outbound.request("GET", site.origin, headers={"Authorization": value})
                assert "Injected" not in raised.value.sentence
        assert site.log.entries == []


async def test_framing_is_the_clients_own_and_nothing_is_remembered() -> None:
    """RFC 9112 section 11.2 (request smuggling); cookies are not kept."""
    with upstream(Site()) as site:
        site.faults.at("site", answers(200, {}, {"Set-Cookie": "a=b; Path=/"}), times=1)
        async with Outbound(Settings(outbound_allow=(site.host_port,))) as outbound:
            headers = {"Transfer-Encoding": "chunked", "Content-Length": "99", "Connection": "upgrade", "X-Ok": "1"}
            await outbound.request("POST", site.origin, headers=headers, content=b"abc")
            await outbound.request("GET", site.origin)
    first, second = site.log.of("site")
    assert first.body == b"abc"
    assert first.headers["content-length"] == "3"
    assert "transfer-encoding" not in first.headers
    assert first.headers["x-ok"] == "1"
    assert "cookie" not in second.headers
    assert second.headers["user-agent"].startswith("drio-mcp/")
    assert second.headers["accept-encoding"] == "identity"


async def test_json_that_is_none(world: MakeWorld) -> None:
    for body in (b"<html>", b"[" * 100_000, b"\xff"):
        answer = head(f"Content-Length: {len(body)}") + body
        async with raw_server(says(answer)) as port, world(allow=[f"localhost:{port}"]) as w:
            response = await w.outbound.request("GET", f"http://localhost:{port}/")
            with pytest.raises(OutboundError, match="malformed_response"):
                response.json()


# Streaming


async def test_a_stream_passes_redirects_on_and_undoes_codings() -> None:
    packed = gzip.compress(b"hel") + gzip.compress(b"lo")
    with upstream(Site()) as site:
        site.faults.at("site", redirects("https://169.254.169.254/"), times=1)
        site.faults.at("site", answers(206, packed, {"Content-Encoding": "gzip"}))
        async with Outbound(Settings(outbound_allow=(site.host_port,))) as outbound:
            async with outbound.stream("GET", site.origin) as answer:
                assert answer.status == 302
            async with outbound.stream("GET", site.origin, headers={"Accept-Encoding": "gzip"}) as answer:
                assert answer.status == 206
                assert "content-encoding" not in answer.headers
                assert "content-length" not in answer.headers
                assert b"".join([chunk async for chunk in answer.chunks()]) == b"hello"


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "aes128gcm"])
async def test_a_coding_that_is_not_understood_is_refused(coding: str) -> None:
    """What cannot be read cannot be searched for a credential."""
    with upstream(Site()) as site:
        site.faults.at("site", answers(200, b"anything", {"Content-Encoding": coding}))
        async with Outbound(Settings(outbound_allow=(site.host_port,))) as outbound:
            with pytest.raises(OutboundError, match="malformed_response"):
                async with outbound.stream("GET", site.origin):
                    pass
            async with outbound.stream("HEAD", site.origin) as answer:
                assert answer.status == 200


async def test_a_bomb_is_noticed_before_it_goes_off() -> None:
    with upstream(Site()) as site:
        site.faults.at("site", answers(200, gzip.compress(b"0" * 40_000_000), {"Content-Encoding": "gzip"}))
        async with (
            Outbound(Settings(outbound_allow=(site.host_port,))) as outbound,
            outbound.stream("GET", site.origin, max_bytes=1_000_000) as answer,
        ):
            pieces: list[bytes] = []
            with pytest.raises(OutboundError, match="response_too_large"):
                pieces.extend([piece async for piece in answer.chunks()])
            assert all(len(piece) <= 65_536 for piece in pieces)


@pytest.mark.parametrize("status", [600, 999, 100, 101])
async def test_a_status_that_http_does_not_know(world: MakeWorld, status: int) -> None:
    """RFC 9110 section 15. The connection of whoever asked does not end by it."""
    answer = f"HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    async with raw_server(says(answer)) as port, world(allow=[f"localhost:{port}"]) as w:
        url = f"http://localhost:{port}/"
        assert await failure(w.outbound, url) in {"malformed_response", "endpoint_unreachable"}
        with pytest.raises(OutboundError):
            async with w.outbound.stream("GET", url):
                pass


async def test_a_length_of_five_thousand_digits_is_none(world: MakeWorld) -> None:
    head_of_all = b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n"
    async with raw_server(says(head_of_all)) as port, world(allow=[f"localhost:{port}"]) as w:
        assert await failure(w.outbound, f"http://localhost:{port}/") in {"malformed_response", "response_too_large"}


async def test_a_stream_sends_a_body_as_it_comes() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    with upstream(Site()) as site:
        async with (
            Outbound(Settings(outbound_allow=(site.host_port,))) as outbound,
            outbound.stream("POST", site.origin, content=pieces()) as answer,
        ):
            assert answer.status == 200
        assert site.log.of("site")[0].body == b"onetwo"


@pytest.mark.parametrize("limit", ["size", "declared", "idle", "head", "lifetime", "cut"])
async def test_a_stream_has_limits(world: MakeWorld, limit: str) -> None:
    scripts = {
        "size": drips(head("Connection: close"), b"x" * 600, interval=0.001),
        "declared": says(head("Content-Length: 5000")),
        "idle": drips(head("Connection: close"), b"", interval=0.01),
        "head": silent(),
        "lifetime": drips(head("Connection: close"), b"x", interval=0.01),
        "cut": says(head("Content-Length: 50") + b"x"),
    }
    codes = {"size": "response_too_large", "declared": "response_too_large", "cut": "malformed_response"}
    async with raw_server(scripts[limit]) as port, world(allow=[f"localhost:{port}"]) as w:

        async def read_all() -> None:
            async with w.outbound.stream(
                "GET",
                f"http://localhost:{port}/",
                max_bytes=1000,
                timeout=0.2 if limit == "head" else 5,
                idle_timeout=0.1 if limit == "idle" else 5,
                lifetime=0.1 if limit == "lifetime" else 60,
            ) as answer:
                async for _ in answer.chunks():
                    pass

        with pytest.raises(OutboundError) as raised:
            await read_all()
        assert raised.value.code == codes.get(limit, "timeout")


async def test_a_connection_is_used_again(world: MakeWorld) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_head(reader)
            writer.write(OK)

    async with raw_server(script) as port, world(allow=[f"localhost:{port}"]) as w:
        for _ in range(3):
            await w.outbound.request("GET", f"http://localhost:{port}/")
        assert len(w.network.dialled) == 1
