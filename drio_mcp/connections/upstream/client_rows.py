"""Provider clients in the store: new ones, and what becomes of the connections of one that ended."""

from urllib.parse import urlsplit

from drio_mcp.connections.catalog.authorization_servers import AuthorizationServer
from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, Code, last_error
from drio_mcp.connections.record import repository, sealing
from drio_mcp.connections.record.clients import Origin
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import error_of, unless_disabled
from drio_mcp.connections.upstream.client_findings import CLIENT_ENDED
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, ORPHAN, REFRESH_TOKEN
from drio_mcp.store import Transaction, provider_clients, token_sets
from drio_mcp.store.provider_clients import ProviderClientRow


def new(
    row_id: str,
    server: AuthorizationServer,
    origin: Origin,
    client_id: str,
    now: int,
    *,
    app_id: str | None = None,
    name: str | None = None,
    auth_method: str | None = None,
    registration_endpoint: str | None = None,
    issuer: str | None = None,
) -> ProviderClientRow:
    """A row with everything else at its start; of no app, it is the server's."""
    return ProviderClientRow(
        id=row_id,
        app_id=app_id,
        slug=server.slug,
        callback=server.slug,
        authorization_endpoint=server.authorization_endpoint,
        token_endpoint=server.token_endpoint,
        registration_endpoint=registration_endpoint,
        issuer=issuer,
        origin=origin,
        name=name or urlsplit(server.authorization_endpoint).hostname or "Provider",
        client_id=client_id,
        auth_method=auth_method,
        findings="{}",
        registration_client_uri=None,
        registered_at=None,
        secret_expires_at=None,
        due_at=None,
        last_error=None,
        version=1,
        created_at=now,
        updated_at=now,
    )


def end_grants(tx: Transaction, actor: Actor, client: ProviderClientRow, now: int) -> int:
    """What people allowed the client is worth nothing any more: its connections need their consent anew."""
    ended = tx.all(provider_clients.LIST_CONNECTIONS, id=client.id)
    for connection_id in ended:
        connection = repository.find(tx, connection_id)
        if connection is None:
            continue
        forget_tokens(tx, connection.id)
        status = unless_disabled(connection, Status.NEEDS_REAUTH)
        error = last_error(Code.REAUTHORIZATION_REQUIRED, CLIENT_ENDED)
        repository.store(tx, connection.with_row(status=status, last_error=error, grants="[]"), now)
        outcome = str(Code.REAUTHORIZATION_REQUIRED)
        record(
            tx, actor, connection.row.app_id, connection.id, Event.UPDATED, now, outcome=outcome, detail=CLIENT_ENDED
        )
    return len(ended)


def wake(tx: Transaction, client: ProviderClientRow, now: int) -> list[str]:
    """End the pause of every connection that the client was refused for; gives those that a refresh may heal."""
    healing = []
    for connection_id in tx.all(provider_clients.LIST_CONNECTIONS, id=client.id):
        connection = repository.find(tx, connection_id)
        if connection is None or error_of(connection) not in CLIENT_REFUSED or connection.is_disabled:
            continue
        has_tokens = tx.run(token_sets.WAKE, connection_id=connection_id, now=now) == 1
        status = Status.DEGRADED if has_tokens else Status.PENDING
        repository.store(tx, connection.with_row(status=status, last_error=None), now)
        if has_tokens:
            healing.append(connection_id)
    return healing


def forget_tokens(tx: Transaction, connection_id: str) -> None:
    """Remove what the provider issued to a connection."""
    sealing.remove(tx, connection_id, (ACCESS_TOKEN, REFRESH_TOKEN, ORPHAN))
    tx.run(token_sets.REMOVE, connection_id=connection_id)
