"""One reading of a URL: what two programs could read differently is refused."""

from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.outbound import OutboundError, Target, parse_target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("HTTPS://Example.COM:8443/a?b=c#d", Target("https", "example.com", 8443, "/a?b=c")),
        ("https://example.com./x", Target("https", "example.com", 443, "/x")),
        ("https://example.com:/x", Target("https", "example.com", 443, "/x")),
        ("https://bücher.example/x", Target("https", "xn--bcher-kva.example", 443, "/x")),
        ("https://EXAMPLE。com/", Target("https", "example.com", 443, "/")),
        ("http://127.0.0.1:9000/x", Target("http", "127.0.0.1", 9000, "/x")),
        ("https://[2606:4700:0:0::1111]:8443/", Target("https", "2606:4700::1111", 8443, "/")),
        ("https://_dmarc.example.com/", Target("https", "_dmarc.example.com", 443, "/")),
        ("https://example.com?a=b", Target("https", "example.com", 443, "/?a=b")),
        ("https://example.com/a/../b", Target("https", "example.com", 443, "/a/../b")),
    ],
)
def test_what_a_url_names(url: str, target: Target) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "javascript:alert(1)", "data:,x", "",
        "example.com", "//example.com/", "https://", "https:///x", "https:example.com",
        "https://user@example.com/", "https://user:pass@example.com/", "https://@example.com/",
        "https://example.com:0/", "https://example.com:65536/", "https://example.com:80a/", "https://example.com:-1/",
        "https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/", "https://0177.0.0.1/",
        "https://127.0.0.01/", "https://127.0.0.0x1/", "https://1.2.3.4.5/", "https://0/", "https://256.1.1.1/",
        "https://example.1/", "https://example.0x/", "https://127.0.0.1../",
        "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1/", "https://::1/", "https://[v1.a]/",
        "https://[1.2.3.4]/", "https://[]/",
        "https://a..b/", "https://.example.com/", "https://-a.example/", "https://a-.example/", "https://exa mple.com/",
        "https://example.com\\@127.0.0.1/", "https://example.com\\.evil.example/", "https://exam\tple.com/",
        "https://example.com/a b", "https://example.com/\r\nX: y", "https://example.com/\x00", "https://example.com/é",
        "https://%31%32%37.0.0.1/", "https://example.com%2f@127.0.0.1/", "https://①②⑦.0.0.1:x/", "https://１２７.1/",
        "https://" + "a" * 64 + ".example/", "https://" + "a." * 130 + "example/", 'https://example.com/"', "https://x/[",
    ],
)  # fmt: skip
def test_what_is_refused(url: str) -> None:
    with pytest.raises(OutboundError) as refusal:
        parse_target(url)
    assert refusal.value.code == "address_blocked"
    assert "127" not in refusal.value.sentence


def test_full_width_digits_are_the_address_they_look_like() -> None:
    """UTS 46 maps them, so they are judged as what they become."""
    assert parse_target("https://１２７.0.0.1/").host == "127.0.0.1"


@pytest.mark.parametrize(
    ("url", "authority", "entry"),
    [
        ("https://example.com/", "example.com", "example.com:443"),
        ("http://localhost:9000/", "localhost:9000", "localhost:9000"),
        ("https://[::1]/", "[::1]", "[::1]:443"),
        ("http://[::1]:9000/", "[::1]:9000", "[::1]:9000"),
    ],
)
def test_host_header_and_allow_list_entry(url: str, authority: str, entry: str) -> None:
    """RFC 9110 section 7.2: the port is in `Host` only where it is not the scheme's own."""
    assert parse_target(url).authority == authority
    assert parse_target(url).allow_entry == entry


@given(st.ip_addresses(v=4))
def test_only_the_dotted_decimal_form_of_an_ipv4_address_is_read(address: IPv4Address) -> None:
    number, octets = int(address), address.packed
    assert parse_target(f"https://{address}/").host == str(address)
    forms = [
        str(number),
        hex(number),
        "0" + oct(number)[2:],
        f"{octets[0]}.{number & 0xFFFFFF}",
        ".".join(hex(octet) for octet in octets),
        f"{octets[0]}.{octets[1]}.{octets[2]}.0{octets[3]}",
    ]
    for form in forms:
        with pytest.raises(OutboundError):
            parse_target(f"https://{form}/")


@given(st.ip_addresses(v=6))
def test_every_form_of_an_ipv6_address_is_one_host(address: IPv6Address) -> None:
    for form in (str(address), address.exploded, address.exploded.upper()):
        assert parse_target(f"https://[{form}]/").host == str(address)


@given(st.text(max_size=40))
def test_whatever_is_read_is_read_alike_by_the_standard_library(text: str) -> None:
    url = f"https://{text}"
    try:
        target = parse_target(url)
    except OutboundError:
        return
    assert target.host.isascii()
    if url.isascii():
        assert (urlsplit(url).hostname or "").removesuffix(".") == target.host or ":" in target.host
    assert parse_target(target.url) == target
