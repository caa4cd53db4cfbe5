"""The metadata documents: RFC 8414, RFC 9728, OpenID Connect Discovery."""

from drio_mcp.config import Settings
from drio_mcp.oauth.server_metadata import PublishedMetadata

ORIGIN = "https://drio.example.com"
METADATA = PublishedMetadata(Settings(public_url=ORIGIN))
SCOPES = ["openid", "profile", "email", "offline_access"]


def test_the_protected_resource_is_the_mcp_endpoint() -> None:
    """RFC 9728 section 2."""
    document = METADATA.protected_resource()
    assert document["resource"] == f"{ORIGIN}/mcp"
    assert document["authorization_servers"] == [ORIGIN]
    assert document["scopes_supported"] == SCOPES
    assert document["bearer_methods_supported"] == ["header"]


def test_the_authorization_server_says_what_strict_clients_look_for() -> None:
    """RFC 8414 section 2, RFC 9207 section 3, Client ID Metadata Document draft section 5."""
    document = METADATA.authorization_server()
    assert document["issuer"] == ORIGIN
    assert document["scopes_supported"] == SCOPES
    assert document["response_types_supported"] == ["code"]
    assert document["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    methods = {"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}
    assert set(document["token_endpoint_auth_methods_supported"]) == methods
    assert set(document["introspection_endpoint_auth_methods_supported"]) == methods - {"none"}
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["client_id_metadata_document_supported"] is True
    for name, path in {
        "authorization_endpoint": "authorize",
        "token_endpoint": "token",
        "registration_endpoint": "register",
        "revocation_endpoint": "revoke",
        "introspection_endpoint": "introspect",
        "jwks_uri": "jwks",
        "userinfo_endpoint": "userinfo",
    }.items():
        assert document[name] == f"{ORIGIN}/api/v1/auth/{path}"


def test_openid_configuration_has_all_that_its_standard_requires() -> None:
    """OpenID Connect Discovery section 3."""
    document = METADATA.openid_configuration()
    assert document.items() >= METADATA.authorization_server().items()
    assert document["subject_types_supported"] == ["public"]
    assert document["id_token_signing_alg_values_supported"] == ["ES256"]


def test_registration_is_advertised_only_where_it_works() -> None:
    assert "registration_endpoint" in PublishedMetadata(Settings(registration="token")).authorization_server()
    assert "registration_endpoint" not in PublishedMetadata(Settings(registration="off")).openid_configuration()


def test_documents_are_not_offered_where_they_are_switched_off() -> None:
    """`DRIO_CLIENT_DOCUMENTS=off`."""
    settings = Settings(public_url=ORIGIN, client_documents="off")
    document = PublishedMetadata(settings).authorization_server()
    assert document["client_id_metadata_document_supported"] is False
