"""Which addresses are public: every block of the IANA special-purpose registries (RFC 6890), at both of its ends."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.outbound.addresses import is_public, is_public_text

NOT_PUBLIC = [
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local, cloud metadata"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("255.255.255.255/32", "broadcast"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "IPv4-compatible"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::ffff:0:0:0/96", "IPv4-translated"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("64:ff9b::a00:0/104", "NAT64 of 10.0.0.0/8"),
    ("64:ff9b::7f00:0/104", "NAT64 of loopback"),
    ("64:ff9b::a9fe:0/112", "NAT64 of link-local"),
    ("100::/64", "discard"),
    ("2001::/32", "Teredo"),
    ("2001:2::/48", "benchmarking"),
    ("2001:20::/28", "ORCHID"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "unique-local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
]

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
    "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "64:ff9b::808:808",
    "2001:200::1", "3ffe::1",
]  # fmt: skip


@pytest.mark.parametrize(("block", "what"), NOT_PUBLIC)
def test_both_ends_of_a_special_block_are_not_public(block: str, what: str) -> None:
    network = ip_network(block)
    assert not is_public(network[0]), what
    assert not is_public(network[-1]), what


@pytest.mark.parametrize("address", PUBLIC)
def test_neighbours_of_special_blocks_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "2606:4700:4700::1111%eth0", "example.com", "", "127.1", "0x7f000001"]
)
def test_scoped_addresses_and_what_is_no_address_are_not_public(text: str) -> None:
    assert not is_public_text(text)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_inside_nat64_and_never_admitted_by_another_embedding(
    address: IPv4Address,
) -> None:
    """RFC 6052 section 2.1, RFC 4291 section 2.5.5, RFC 3056 section 2, RFC 4380 section 4."""
    number = int(address)
    assert is_public(IPv6Address((0x64FF9B << 96) | number)) == is_public(address)
    assert not is_public(IPv6Address(number))
    assert not is_public(IPv6Address((0xFFFF << 32) | number))
    assert not is_public(IPv6Address((0x2002 << 112) | (number << 80) | 1))
    assert not is_public(IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)))


@given(st.ip_addresses())
def test_nothing_is_public_that_the_standard_library_calls_private(address: IPv4Address | IPv6Address) -> None:
    if is_public(address):
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_multicast
        assert not address.is_private
        assert not address.is_unspecified
