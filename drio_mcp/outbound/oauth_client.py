"""What our OAuth clients, the one for sign-in and those of connections, do alike: how they say who they are.

The rest they do apart: sign-in refuses whatever differs from its RFCs, connections take what providers really send.
"""

import base64
from urllib.parse import quote

from drio_mcp.opaque import Secret

UNENCODED_BASIC = "client_secret_basic_unencoded"
"""Basic as RFC 7617 section 2 has it: servers that overlook the form-encoding of RFC 6749 take no other."""


def authentication(method: str, client_id: str, client_secret: Secret | None) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and fields of the body by which a client says who it is (RFC 6749 section 2.3.1).

    Both parts of Basic are form-encoded before they are joined, a blank as `%20`: that is a blank too for servers that
    decode it as a URL, where `+` would stay what it is.
    """
    if client_secret is None:
        return {}, {"client_id": client_id}
    secret = client_secret.reveal()
    if method in {"client_secret_basic", UNENCODED_BASIC}:
        is_plain = method == UNENCODED_BASIC
        pair = f"{client_id}:{secret}" if is_plain else f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, {}
    return {}, {"client_id": client_id} | ({"client_secret": secret} if method == "client_secret_post" else {})


def is_changed_by_encoding(client_id: str, client_secret: Secret) -> bool:
    """Whether the two kinds of Basic differ, and the unencoded one can be told apart at its first colon."""
    pair = client_id + client_secret.reveal()
    return ":" not in client_id and quote(pair, safe="") != pair
