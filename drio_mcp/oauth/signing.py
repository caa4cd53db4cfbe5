"""The keys that sign ID tokens: ES256 (RFC 7518 section 3.4), published as a JSON Web Key Set (RFC 7517), rotated.

A new key is published a day before it signs, so that whoever caches the set knows it by then, and stays published for
a while after its successor has taken over. Private keys are sealed by the vault.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry
from pydantic_core import to_json

from drio_mcp.clock import DAY, MINUTE, Clock
from drio_mcp.opaque import Secret, b64url
from drio_mcp.store import Database, Transaction
from drio_mcp.store import signing_keys as table
from drio_mcp.store.signing_keys import SigningKeyRow
from drio_mcp.vault import Binding, Vault

ALGORITHM = "ES256"
_ES256 = JWSRegistry.algorithms[ALGORITHM]
ROTATED_EVERY = 90 * DAY
PUBLISHED_BEFORE = DAY
PUBLISHED_AFTER = 2 * DAY
"""How long a key stays in the set after its last signature; an ID token lives an hour."""
LOOKED_UP_EVERY = MINUTE
"""How soon a process notices what another one did to the keys."""


class SigningKey:
    """A key ready to sign."""

    def __init__(self, kid: str, key: ECKey) -> None:
        self.kid = kid
        self._key = key
        self._head = b64url(to_json({"typ": "JWT", "alg": ALGORITHM, "kid": kid}))

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a signed JWT (RFC 7519 section 7.1, RFC 7515 section 7.1).

        The signature is joserfc's. Its way of putting the three parts together takes twice as long as the signature:
        it finds out anew for each token what the key can do, and writes the same header.
        """
        signed = f"{self._head}.{b64url(to_json(claims))}"
        return f"{signed}.{b64url(_ES256.sign(signed.encode(), self._key))}"


@dataclass(frozen=True, slots=True)
class _Loaded:
    signer: SigningKey
    public: tuple[dict[str, Any], ...]
    loaded_at: int


class SigningKeys:
    """Keeps the keys, and makes the first one when it is needed."""

    def __init__(self, db: Database, clock: Clock, vault: Vault) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._loaded: _Loaded | None = None

    async def signer(self) -> SigningKey:
        """The key to sign with now."""
        return (await self._load()).signer

    async def jwks(self) -> dict[str, Any]:
        """The public keys, as the `jwks_uri` shows them."""
        return {"keys": list((await self._load()).public)}

    async def rotate(self, now: int) -> None:
        """Add a key; it signs a day later."""
        await self._db.write(_insert, self._new_key(now))
        self._loaded = None

    async def sweep(self, now: int) -> int:
        """Rotate when the newest key is old, and delete keys that nobody needs; gives how many were deleted."""
        rows = await self._db.read(_list)
        if rows and rows[-1].created_at <= now - ROTATED_EVERY:
            await self.rotate(now)
        deleted = await self._db.write(_delete_superseded, now)
        if deleted:
            self._loaded = None
        return deleted

    async def rewrap(self) -> int:
        """Seal the private keys under the vault's primary key; gives how many were changed."""
        rows = await self._db.read(_list)
        changed = [(row, sealed) for row in rows if (sealed := self._vault.rewrap(row.sealed)) is not None]
        for row, sealed in changed:
            await self._db.write(_reseal, row, sealed)
        return len(changed)

    async def _load(self) -> _Loaded:
        now = self._clock.now()
        loaded = self._loaded
        if loaded is None or not 0 <= now - loaded.loaded_at < LOOKED_UP_EVERY:
            rows = await self._db.read(_list)
            if not rows:
                rows = await self._db.write(_ensure, self._new_key(now))
            loaded = self._loaded = self._read(rows, now)
        return loaded

    def _read(self, rows: Sequence[SigningKeyRow], now: int) -> _Loaded:
        signing = rows[_signing_index(rows, now)]
        private = self._vault.open(signing.sealed, _binding(signing.kid)).reveal()
        key = SigningKey(signing.kid, ECKey.import_key(json.loads(private)))
        return _Loaded(key, tuple(json.loads(row.public_jwk) for row in rows), now)

    def _new_key(self, now: int) -> SigningKeyRow:
        key = ECKey.generate_key("P-256", parameters={"use": "sig", "alg": ALGORITHM}, auto_kid=True)
        private = Secret(json.dumps(key.as_dict(private=True)))
        return SigningKeyRow(
            kid=key.kid or "",
            public_jwk=json.dumps(key.as_dict(private=False)),
            sealed=self._vault.seal(private, _binding(key.kid or "")),
            created_at=now,
        )


def _signing_index(rows: Sequence[SigningKeyRow], now: int) -> int:
    """The newest key that has been published for long enough, else the oldest."""
    known = [index for index, row in enumerate(rows) if row.created_at <= now - PUBLISHED_BEFORE]
    return known[-1] if known else 0


def _binding(kid: str) -> Binding:
    return Binding.to(kid, "signing key")


def _list(tx: Transaction) -> list[SigningKeyRow]:
    return tx.all(table.LIST)


def _ensure(tx: Transaction, row: SigningKeyRow) -> list[SigningKeyRow]:
    """Insert the first key, unless another process was faster."""
    if not tx.all(table.LIST):
        _insert(tx, row)
    return tx.all(table.LIST)


def _insert(tx: Transaction, row: SigningKeyRow) -> None:
    tx.run(table.INSERT, kid=row.kid, public_jwk=row.public_jwk, sealed=row.sealed, created_at=row.created_at)


def _reseal(tx: Transaction, row: SigningKeyRow, sealed: bytes) -> None:
    tx.run(table.RESEAL, kid=row.kid, previous=row.sealed, sealed=sealed)


def _delete_superseded(tx: Transaction, now: int) -> int:
    rows = tx.all(table.LIST)
    deleted = 0
    for row, successor in pairwise(rows):
        if successor.created_at <= now - PUBLISHED_BEFORE - PUBLISHED_AFTER:
            deleted += tx.run(table.DELETE, kid=row.kid)
    return deleted
