"""A provider's JSON file that holds a private key, given in place of the key: its members are read.

What the catalog's entry names is taken from it, and nothing else: least of all addresses, to which whoever made the
file would have the key's signatures sent.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from drio_mcp.connections.json_pointer import resolve
from drio_mcp.connections.record.config_rules import Config, path_of
from drio_mcp.connections.record.schemas import ConfigWithSecrets, ConnectionInput
from drio_mcp.errors import Problem, ValidationFailed
from drio_mcp.opaque import Secret
from drio_mcp.outside import read_json

FIELD = "private_key"
UNREAD = "must be the key in PEM form, or the JSON file that the provider gave, whole and unchanged"


def is_file(text: str) -> bool:
    """Whether it is a file rather than the key."""
    return text.lstrip().startswith("{")


def unfolded(patch: ConnectionInput, before: Config) -> ConnectionInput:
    """The patch with the file's members in place of the file. Raises `ValidationFailed`."""
    given = getattr(patch.config, FIELD, None)
    if given is None or patch.config is None:
        return patch
    pointers: Mapping[str, str] = before.get("key_parts", {}).get("file", {})
    if not is_file(given.reveal()):
        if "client_id" in pointers and not (patch.config.client_id or before.get("client_id")):
            raise ValidationFailed([Problem(path_of(FIELD), "must be the whole JSON file: it names whose key it is")])
        return patch
    found = _checked(_members(given, pointers))
    named = {name: getattr(found, name) for name in found.model_fields_set if not _is_said(patch.config, name)}
    config = patch.config.model_copy(update={**named, FIELD: getattr(found, FIELD)})
    return patch.model_copy(update={"config": config})


def _is_said(config: Any, name: str) -> bool:
    return getattr(config, name, None) is not None


def _members(given: Secret, pointers: Mapping[str, str]) -> dict[str, str]:
    """What the file tells, by the names of the model's fields."""
    try:
        told = read_json(given.reveal())
    except ValueError:
        told = None
    found = {name: resolve(told, pointer) for name, pointer in ({FIELD: "/private_key"} | dict(pointers)).items()}
    texts = {name: str(value) for name, value in found.items() if isinstance(value, str | int) and value != ""}
    if FIELD not in texts or is_file(texts[FIELD]):
        raise ValidationFailed([Problem(path_of(FIELD), UNREAD)])
    return texts


def _checked(texts: Mapping[str, str]) -> ConfigWithSecrets:
    try:
        return ConfigWithSecrets.model_validate({to_camel(name): text for name, text in texts.items()})
    except ValidationError as error:
        raise ValidationFailed(list(_problems(error))) from None


def _problems(error: ValidationError) -> Iterator[Problem]:
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        member = str(each["loc"][-1]) if each["loc"] else "it"
        yield Problem(path_of(FIELD), f"has a member for {member} that cannot be used: {each['msg']}")
