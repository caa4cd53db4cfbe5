"""The secrets of provider clients: each sealed for its client, its field and the one address that may be sent it.

Origins are too wide here. A client is shared by connections of many people, whose metadata may name other addresses of
the token endpoint's origin; the seal names the token endpoint itself.
"""

import json
from collections.abc import Mapping

from drio_mcp.opaque import Secret
from drio_mcp.store import Transaction, provider_client_secrets
from drio_mcp.store.provider_client_secrets import ProviderClientSecretRow
from drio_mcp.store.provider_clients import ProviderClientRow
from drio_mcp.vault import Binding, SealBroken, Vault

CLIENT_SECRET = "client_secret"  # noqa: S105
MANAGEMENT_TOKEN = "registration_access_token"  # noqa: S105


def seal(
    tx: Transaction, vault: Vault, client: ProviderClientRow, values: Mapping[str, Secret | None], now: int
) -> None:
    """Seal each value in place of an earlier one; None forgets it."""
    for field, value in values.items():
        address = _address(client, field)
        if value is None or address is None:
            tx.run(provider_client_secrets.REMOVE, id=client.id, field=field)
            continue
        sealed = vault.seal(value, Binding.to(client.id, field, (address,)))
        provider_client_secrets.put(tx, ProviderClientSecretRow(client.id, field, sealed, json.dumps([address]), now))


def unseal(tx: Transaction, vault: Vault, client: ProviderClientRow, field: str) -> Secret | None:
    """The secret, for sending it to the client's own address; None when there is none.

    Raises `SealBroken` when it does not open, or was sealed for another address than the client's present one.
    """
    row = tx.one(provider_client_secrets.FIND, id=client.id, field=field)
    address = _address(client, field)
    if row is None:
        return None
    if address is None:
        raise SealBroken
    return vault.open(row.sealed, Binding.to(client.id, field, (address,)))


def _address(client: ProviderClientRow, field: str) -> str | None:
    return client.token_endpoint if field == CLIENT_SECRET else client.registration_client_uri
