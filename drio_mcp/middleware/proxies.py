"""Whose word counts: `X-Forwarded-*` is believed from `DRIO_TRUSTED_PROXIES` only."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from starlette.types import Scope


class TrustedProxies:
    """Finds the address that a request really came from."""

    def __init__(self, ranges: Sequence[str]) -> None:
        self._networks = [ip_network(each) for each in ranges]

    def client_address(self, scope: Scope) -> str:
        """The nearest address that is no trusted proxy; `unknown` on a socket without addresses.

        `X-Forwarded-For` grows to the right, so it is read from there: what stands left of the first untrusted
        address was written by whoever sits at that address.
        """
        client = scope.get("client")
        peer: str = client[0] if client else "unknown"
        if not self._networks or not self._is_trusted(peer):
            return peer
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        for hop in reversed(",".join(forwarded).split(",")):
            address = hop.strip()
            if not _is_address(address):
                break
            peer = address
            if not self._is_trusted(address):
                break
        return peer

    def _is_trusted(self, text: str) -> bool:
        return _is_address(text) and any(ip_address(text) in network for network in self._networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
