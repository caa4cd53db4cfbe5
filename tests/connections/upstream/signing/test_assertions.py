"""JWTs that a private key signs, held against the examples of RFC 7515, and what a key may be."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from drio_mcp.connections.catalog.schema import AssertionRules
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.upstream.signing.assertions import Assertion, key_fingerprint, read_key, sign
from drio_mcp.opaque import Secret
from tests.conftest import FakeClock

PAYLOAD = b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
RSA_JWK: dict[str, Any] = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS"
    "-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6"
    "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuX"
    "poQ",
    "e": "AQAB",
    "d": "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO"
    "-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2Qv"
    "Xt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOop"
    "znQ",
}
RSA_JWS = (
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1d"
    "nZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwus"
    "C-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
EC_JWK: dict[str, Any] = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}
EC_JWS = (
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)


def pem(key: Any, password: bytes | None = None, form: PrivateFormat = PrivateFormat.PKCS8) -> Secret:
    sealed = NoEncryption() if password is None else BestAvailableEncryption(password)
    return Secret(key.private_bytes(Encoding.PEM, form, sealed).decode())


def of_jwk(jwk: dict[str, Any]) -> Any:
    key: Any = RSAKey.import_key(jwk) if jwk["kty"] == "RSA" else ECKey.import_key(jwk)
    return load_pem_private_key(key.as_pem(private=True), None)


KEY = of_jwk(RSA_JWK)


def test_the_signature_of_rfc_7515_appendix_a_2() -> None:
    """RS256 has one signature for each key and payload."""
    assert sign(KEY, {"alg": "RS256"}, PAYLOAD).reveal() == RSA_JWS


def test_the_key_of_rfc_7515_appendix_a_3() -> None:
    """ES256 has many: the appendix's is verified, and so is ours, by the same key."""
    key = of_jwk(EC_JWK)
    own = sign(key, {"alg": "ES256"}, PAYLOAD).reveal()
    for token in (EC_JWS, own):
        assert jws.deserialize_compact(token, ECKey.import_key(EC_JWK)).payload == PAYLOAD
    assert own.rpartition(".")[0] == EC_JWS.rpartition(".")[0]


def claims_of(token: Secret) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.reveal().split(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    return header, claims


def test_claims_whose_values_are_not_known_are_left_out(clock: FakeClock) -> None:
    """Google's `sub` goes with delegation only."""
    rules = AssertionRules(claims={"iss": "{client_id}", "sub": "{subject}", "aud": "{audience}"}, backdated_seconds=60)
    values = {"client_id": "robot", "audience": "https://as.example/token"}
    header, claims = claims_of(Assertion(rules, values, pem(KEY), key_id="k1").signed(clock.now(), "id"))
    now = clock.now() // 1000
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert claims == {"iss": "robot", "aud": "https://as.example/token", "iat": now - 60, "exp": now + 3_600}


def test_the_fingerprint_names_the_public_key(clock: FakeClock) -> None:
    """Snowflake, "Using key pair authentication": `SHA256:` and the hash of the public key, capitals elsewhere."""
    rules = AssertionRules(claims={"iss": "{account}.{client_id}.{key_fingerprint}"}, upper=("account", "client_id"))
    _, claims = claims_of(Assertion(rules, {"account": "org-acme", "client_id": "ada"}, pem(KEY)).signed(0, ""))
    assert claims["iss"] == f"ORG-ACME.ADA.{key_fingerprint(KEY)}"
    assert key_fingerprint(KEY).startswith("SHA256:")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_with_a_passphrase_opens_with_it_and_with_no_other(form: PrivateFormat) -> None:
    sealed = pem(KEY, b"open sesame", form)
    assert key_fingerprint(read_key(sealed, Secret("open sesame"))) == key_fingerprint(KEY)
    for other in (None, Secret("shut sesame")):
        with pytest.raises(Fault, match="key_rejected"):
            read_key(sealed, other)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(pem(rsa.generate_private_key(65_537, 1_024)).reveal(), id="RSA of 1,024 bits"),
        pytest.param(pem(ec.generate_private_key(ec.SECP384R1())).reveal(), id="P-384"),
        pytest.param(pem(ed25519.Ed25519PrivateKey.generate()).reveal(), id="Ed25519"),
        pytest.param(pem(KEY).reveal()[:300] + "\n-----END PRIVATE KEY-----", id="half of one"),
        pytest.param("-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n-----END PRIVATE KEY-----", id="none"),
        pytest.param(pem(KEY).reveal(), id="a passphrase where there is none"),
    ],
)
def test_other_keys_are_told(text: str) -> None:
    """In a sentence that names the members to mend and nothing of the key."""
    with pytest.raises(Fault, match=r"config\.privateKey cannot be opened") as caught:
        read_key(Secret(text), Secret("x") if text == pem(KEY).reveal() else None)
    assert "BEGIN" not in caught.value.sentence
