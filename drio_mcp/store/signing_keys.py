"""The statements of the table `signing_keys`: the keys of ID tokens."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    """One key; `public_jwk` is JSON, `sealed` the private JWK as the vault keeps it."""

    kid: str
    public_jwk: str
    sealed: bytes
    created_at: int


LIST = Query(
    "SELECT kid, public_jwk, sealed, created_at FROM signing_keys ORDER BY created_at, kid LIMIT 100", SigningKeyRow
)
INSERT = Statement(
    "INSERT INTO signing_keys (kid, public_jwk, sealed, created_at) VALUES (:kid, :public_jwk, :sealed, :created_at)"
)
RESEAL = Statement("UPDATE signing_keys SET sealed = :sealed WHERE kid = :kid AND sealed = :previous")
DELETE = Statement("DELETE FROM signing_keys WHERE kid = :kid")
