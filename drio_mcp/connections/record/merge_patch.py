"""From a connection and a merge patch to the connection after it. Pure: nothing is read or written here.

The rule that keeps secrets home: a secret may go where and how it could go when it was entered. A change that admits
another origin, or another place there (path, header, parameter), voids every stored secret, so that whoever can edit an
endpoint still cannot have the secret sent there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic.alias_generators import to_camel

from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.providers import ProviderFacts
from drio_mcp.connections.config_types import NEEDS, SELF_GRANTED, SIGNED, ConfigType
from drio_mcp.connections.record import brought_tokens, key_files, status
from drio_mcp.connections.record.clients import FINDINGS
from drio_mcp.connections.record.config_rules import (
    Config,
    allowed_origins,
    check_addresses,
    check_origins,
    check_type,
    path_of,
    placement,
)
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.schemas import (
    READ_ONLY_FIELDS,
    SECRET_FIELDS,
    WRITABLE_STATUSES,
    AuthConnection,
    ConfigInput,
    ConnectionInput,
    ConnectionPatch,
    Status,
    UsePatch,
)
from drio_mcp.connections.record.secret_references import SecretReferences
from drio_mcp.connections.record.use_rules import UseMode, UseRules
from drio_mcp.errors import Problem, ValidationFailed
from drio_mcp.opaque import MASK, Secret

READ_ONLY_CONFIG = ("last_registered_at", "variables", "provider_facts")
ENDPOINTS = ("authorization_endpoint", "token_endpoint")
KEPT_APART = {*SECRET_FIELDS, "is_default", *READ_ONLY_CONFIG}
"""Members of `config` that are not stored in its JSON, or not written by clients."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the caller and the operator's settings allow."""

    admitted: Set[str]
    """The `host:port` that may be reached without TLS."""
    references: SecretReferences
    is_operator: bool


@dataclass(slots=True)
class Change:
    """The connection after a patch, and what becomes of its secrets."""

    after: Connection
    origins: frozenset[str]
    seals: dict[str, Secret] = field(default_factory=dict)
    removals: set[str] = field(default_factory=set)
    is_voided: bool = False
    has_brought_tokens: bool = False
    """Whether tokens are among `seals`, in place of a person's consent."""
    changed: list[str] = field(default_factory=list)
    """Where something changed (`config.tokenEndpoint`), for the history."""


def merge(config: Config, patch: ConfigInput | None) -> dict[str, Any]:
    """The configuration after a merge patch (RFC 7396): absent keeps, null removes, arrays are replaced."""
    merged = dict(config)
    for name in (patch.model_fields_set if patch else set()) - KEPT_APART:
        value = getattr(patch, name)
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = list(value) if isinstance(value, tuple) else value
    return merged


def apply(
    before: Connection,
    patch: ConnectionInput,
    facts: ProviderFacts | None,
    limits: Limits,
    problems: Sequence[Problem] = (),
) -> Change:
    """The change that `patch` makes. Raises `ValidationFailed` with every problem of it, and those known already."""
    patch = key_files.unfolded(patch, before.config)
    config = merge(before.config, patch.config)
    _forget_what_was_read(config, before)
    _forget_findings(config, before)
    problems = [*problems, *_problems(before, config, patch, facts, limits)]
    if problems:
        raise ValidationFailed(problems)
    change = Change(before.with_config(config), allowed_origins(config, facts))
    _change_secrets(change, before, patch)
    _change_reference(change, before, patch)
    _void_elsewhere(change, before, facts)
    _change_rest(change, before, patch)
    _change_status(change, before, patch)
    change.changed[:0] = _differences(before, change.after)
    return change


def _forget_what_was_read(config: dict[str, Any], before: Connection) -> None:
    """What belongs to a provider client and was sent back as it was read does not become the connection's own."""
    if before.client is None or "client_id" in before.config:
        return
    read = {
        "client_id": before.client.row.client_id,
        "registration_client_uri": before.client.row.registration_client_uri,
    }
    for name, value in read.items():
        if name not in before.config and name in config and config[name] == value:
            del config[name]


def _forget_findings(config: dict[str, Any], before: Connection) -> None:
    """What was found out about one client at one server says nothing about another."""
    if any(config.get(name) != before.config.get(name) for name in ("type", "client_id", *ENDPOINTS)):
        config.pop(FINDINGS, None)


def read_only_problems(shown: AuthConnection, patch: ConnectionPatch) -> Iterator[Problem]:
    """What is read-only may be sent back as it was read, so that a whole connection can be edited and sent."""
    for name in READ_ONLY_FIELDS:
        if name in patch.model_fields_set and getattr(patch, name) != getattr(shown, name):
            yield Problem(to_camel(name), "is read-only; leave it out")
    if "name" in patch.model_fields_set and patch.name is None:
        yield Problem("name", "must not be null; a right value is Primary Auth")
    sent = patch.config
    for name in READ_ONLY_CONFIG if sent is not None else ():
        if getattr(sent, name) not in (None, getattr(shown.config, name)):
            yield Problem(path_of(name), "is read-only; leave it out")


def _problems(
    before: Connection, config: Config, patch: ConnectionInput, facts: ProviderFacts | None, limits: Limits
) -> list[Problem]:
    problems: list[Problem] = []
    if "config" in patch.model_fields_set and patch.config is None:
        problems.append(Problem("config", "must be an object; null members of it clear single settings"))
    if patch.status is not None and patch.status not in {*WRITABLE_STATUSES, before.row.status}:
        problems.append(Problem("status", "must be draft, valid or disabled; evidence sets the others"))
    if "type" not in config:
        return [*problems, Problem("config.type", "must not be null; a right value is oauth")]
    if facts is not None:
        problems += check_type(config, facts)
    problems += check_addresses(config, limits.admitted)
    problems += check_origins(config)
    problems += _token_problems(config, patch)
    problem = _reference_problem(before, config, patch, limits)
    return [*problems, Problem("secretRef", problem)] if problem else problems


def _reference_problem(before: Connection, config: Config, patch: ConnectionInput, limits: Limits) -> str | None:
    reference = patch.secret_ref
    if reference is None or reference == before.secret_ref:
        return None
    if not limits.is_operator:
        return "may be set for an operator's account only; send the secret in config, or enter it on a page of ours"
    credential = NEEDS[ConfigType(config["type"])].credential
    if credential is None:
        return "has no use: this type needs no secret"
    if _secret_of(patch, credential) is not None:
        return f"names a secret while {path_of(credential)} sends one; send one of the two"
    return limits.references.problem(reference)


def _token_problems(config: Config, patch: ConnectionInput) -> Iterator[Problem]:
    for name in brought_tokens.STORED_AS:
        problem = brought_tokens.problem(config, name)
        if problem is not None and _secret_of(patch, name) is not None:
            yield Problem(path_of(name), problem)


def _secret_of(patch: ConnectionInput, name: str) -> Secret | None:
    value = getattr(patch.config, name, None)
    return None if value is None or value.reveal() == MASK else value


def _change_secrets(change: Change, before: Connection, patch: ConnectionInput) -> None:
    """A value is sealed, null removes, and the mask means what is stored."""
    for name in SECRET_FIELDS:
        if patch.config is None or name not in patch.config.model_fields_set:
            continue
        stored = brought_tokens.stored_name(change.after.config, name)
        if getattr(patch.config, name) is None:
            if stored in before.secrets:
                change.removals.add(stored)
                change.changed.append(path_of(name))
        elif (secret := _secret_of(patch, name)) is not None:
            change.seals[stored] = secret
            change.changed.append(path_of(name))
            change.has_brought_tokens |= stored != name
    if change.has_brought_tokens:
        change.after = change.after.with_config({**change.after.config, brought_tokens.MARK: True})


def _change_reference(change: Change, before: Connection, patch: ConnectionInput) -> None:
    """A new reference takes the place of the sealed secret, and a newly sealed one that of the reference."""
    row = change.after.row
    credential = NEEDS[ConfigType(change.after.config["type"])].credential
    reference = row.secret_ref
    if "secret_ref" in patch.model_fields_set and patch.secret_ref != before.secret_ref:
        reference = patch.secret_ref
        if reference is not None and credential in before.secrets:
            change.removals.add(str(credential))
    if credential in change.seals:
        reference = None
    change.after = replace(change.after, row=replace(row, secret_ref=reference))


def _void_elsewhere(change: Change, before: Connection, facts: ProviderFacts | None) -> None:
    is_placed_alike = placement(change.after.config, facts) == placement(before.config, facts)
    if is_placed_alike and change.origins <= allowed_origins(before.config, facts):
        return
    row = change.after.row
    voided = before.secrets - change.seals.keys() - change.removals
    keeps_reference = row.secret_ref is not None and row.secret_ref == before.row.secret_ref
    change.is_voided = bool(voided) or keeps_reference
    change.removals |= voided
    if keeps_reference:
        change.after = replace(change.after, row=replace(row, secret_ref=None))


def _change_rest(change: Change, before: Connection, patch: ConnectionInput) -> None:
    row = change.after.row
    if isinstance(patch, ConnectionPatch) and patch.name is not None:
        row = replace(row, name=patch.name)
    if isinstance(patch, ConnectionPatch) and "use" in patch.model_fields_set:
        row = replace(row, use_rules=_merged_use(before.use, patch.use).dump())
    if "grants" in patch.model_fields_set:
        row = replace(row, grants=json.dumps(list(patch.grants or ())))
    if patch.config is not None and "is_default" in patch.config.model_fields_set:
        wanted = patch.config.is_default
        row = replace(row, is_default=None if wanted is None else int(wanted))
    secrets = (before.secrets - change.removals) | change.seals.keys()
    change.after = replace(change.after, row=row, secrets=secrets)


def _merged_use(before: UseRules, patch: UsePatch | None) -> UseRules:
    """The rules after a merge patch; `null` gives the default again."""
    if patch is None:
        return UseRules()
    mode, tools = before.mode, dict(before.tools)
    if "mode" in patch.model_fields_set:
        mode = patch.mode or UseMode.ALL
    if "tools" in patch.model_fields_set:
        sent = patch.tools or {}
        kept = {} if patch.tools is None else {name: each for name, each in tools.items() if name not in sent}
        tools = kept | {name: setting for name, setting in sent.items() if setting is not None}
    return UseRules(mode, tools)


def _change_status(change: Change, before: Connection, patch: ConnectionInput) -> None:
    state, error = status.after_change(
        before, change.after, patch.status, is_voided=change.is_voided, has_new_secret=bool(change.seals)
    )
    if change.has_brought_tokens and patch.status is None:
        state, error = status.unless_disabled(before, Status.PENDING), None
    change.after = change.after.with_row(status=state, last_error=error)


def after_entry(change: Change) -> Change:
    """The change once a person entered the secret on a page."""
    state, error = status.after_entry(change.after)
    change.after = change.after.with_row(status=state, last_error=error)
    return change


def _differences(before: Connection, after: Connection) -> list[str]:
    names = [
        path_of(name)
        for name in sorted({*before.config, *after.config} - {brought_tokens.MARK, FINDINGS})
        if _differs(before, after, name)
    ]
    old, new = before.row, after.row
    if old.is_default != new.is_default:
        names.append(path_of("is_default"))
    simple = ("name", "status", "secret_ref", "grants", "last_error")
    use = ["use"] if old.use_rules != new.use_rules else []
    return [to_camel(name) for name in simple if getattr(old, name) != getattr(new, name)] + use + names


def _differs(before: Connection, after: Connection, name: str) -> bool:
    return bool(before.config.get(name) != after.config.get(name))


KEYED = (
    SELF_GRANTED | SIGNED | {ConfigType.API_KEY_HEADER, ConfigType.API_KEY_QUERY, ConfigType.BEARER, ConfigType.BASIC}
)
PRESET_FIELDS: Mapping[ConfigType, tuple[str, ...]] = {
    ConfigType.OAUTH: ENDPOINTS,
    ConfigType.OAUTH_CLIENT_CREDENTIALS: ("token_endpoint",),
    ConfigType.API_KEY_HEADER: ("header_name", "header_prefix"),
    ConfigType.API_KEY_QUERY: ("query_param_name",),
    ConfigType.OAUTH_JWT_BEARER: ("token_endpoint",),
}


def preset(facts: ProviderFacts | None, given: ConfigInput | None) -> dict[str, Any]:
    """The configuration before what the caller sent is laid over it.

    The provider's settings are copied, not looked up later: what a connection does cannot change by an upgrade.
    """
    default = facts.types[0] if facts else ConfigType.OAUTH
    chosen = given.type if given is not None and given.type is not None else default
    known = facts.defaults if facts else {}
    begun = {"type": chosen} | {name: known[name] for name in PRESET_FIELDS.get(chosen, ()) if name in known}
    parts = key_parts_of(facts.entry) if facts is not None and facts.entry is not None else {}
    return begun | ({"key_parts": parts} if parts and chosen in KEYED else {})


def key_parts_of(entry: CatalogEntry) -> dict[str, Any]:
    """How the provider makes a credential of what a person enters, as far as that is not the usual."""
    parts: dict[str, Any] = entry.key_parts.model_dump(exclude_defaults=True, by_alias=False)
    if entry.api.path_prefix is not None:
        parts["path_prefix"] = entry.api.path_prefix
    return parts | ({"is_bearer": True} if entry.assertion.is_bearer else {})
