"""Which IP addresses the outside is made of.

The lists are the IANA special-purpose registries (RFC 6890 and its updates), written out because the answers of
`ipaddress` differ between Python versions.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # "this network", RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
        "127.0.0.0/8",  # loopback, RFC 1122
        "169.254.0.0/16",  # link-local and cloud metadata, RFC 3927
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments, RFC 6890
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.88.99.0/24",  # 6to4 relay, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved and broadcast, RFC 1112
    )
)

_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""RFC 4291 section 2.4. Loopback, unspecified, mapped and compatible IPv4, unique-local, link-local, site-local,
multicast and discard-only addresses all lie outside."""

_NOT_PUBLIC_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID (RFC 2928, RFC 4380, RFC 5180, RFC 7343)
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, which carries any IPv4 address, RFC 3056
        "3fff::/20",  # documentation, RFC 9637
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: how a host without IPv4 sees the IPv4 internet. Judged by the IPv4 address inside."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is a globally reachable unicast address of nobody in particular's network."""
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_V4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    return address in _GLOBAL_UNICAST_V6 and not any(address in block for block in _NOT_PUBLIC_V6)


def is_public_text(text: str) -> bool:
    """`is_public` of an address in text form; what is no address is not public."""
    try:
        return is_public(ip_address(text))
    except ValueError:
        return False
