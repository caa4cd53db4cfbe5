"""What looks after connections that exist: checks, diagnoses, histories, and their use. Built once, by hand."""

from dataclasses import dataclass

from drio_mcp.clock import Clock
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.connecting.links import Links
from drio_mcp.connections.health.checks import Examiner
from drio_mcp.connections.health.diagnosis import Diagnoses
from drio_mcp.connections.health.metadata_check import MetadataCheck
from drio_mcp.connections.health.probes import Prober
from drio_mcp.connections.health.validation import Validation
from drio_mcp.connections.record.crud import Connections
from drio_mcp.connections.record.journal import Journal
from drio_mcp.connections.record.secret_references import References
from drio_mcp.connections.upstream.credentials import Credentials
from drio_mcp.connections.upstream.renewal import Renewal
from drio_mcp.connections.upstream.stored_tokens import UpstreamTokens
from drio_mcp.connections.upstream.token_endpoints import Endpoints
from drio_mcp.connections.use.hand_out import Use
from drio_mcp.connections.use.proxy import Proxy
from drio_mcp.opaque import Randomness
from drio_mcp.outbound import Outbound
from drio_mcp.store import Database


@dataclass(frozen=True)
class Care:
    """The capabilities around a connection that was made."""

    validation: Validation
    diagnoses: Diagnoses
    journal: Journal
    use: Use
    proxy: Proxy


def build_care(
    db: Database,
    clock: Clock,
    randomness: Randomness,
    outbound: Outbound,
    providers: Providers,
    references: References,
    connections: Connections,
    links: Links,
    tokens: UpstreamTokens,
    renewal: Renewal,
) -> Care:
    """Put them together."""
    credentials = Credentials(db, references, tokens, renewal)
    prober, metadata = Prober(outbound), MetadataCheck(outbound)
    endpoints = Endpoints(providers, references, tokens)
    examiner = Examiner(db, clock, providers, tokens, endpoints, renewal, credentials, prober, metadata)
    validation = Validation(db, clock, randomness, providers, connections, examiner)
    diagnoses = Diagnoses(db, clock, connections, examiner, links)
    return Care(
        validation=validation,
        diagnoses=diagnoses,
        journal=Journal(db, connections),
        use=Use(db, clock, connections, credentials, renewal, diagnoses),
        proxy=Proxy(db, clock, outbound, providers, connections, tokens, credentials, renewal, validation, diagnoses),
    )
