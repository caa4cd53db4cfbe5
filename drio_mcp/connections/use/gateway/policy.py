"""Who may what: the owner's rules for a connection and the client's consent, the narrower of the two (section 8)."""

from collections.abc import Mapping
from enum import StrEnum

from drio_mcp.connections.record.use_rules import ToolSetting, UseMode, UseRules

READING_METHODS = frozenset({"GET", "HEAD"})
"""The methods of an API that only read (RFC 9110 section 9.2.1)."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Decision(StrEnum):
    """What becomes of a call."""

    ALLOW = "allow"
    ASK = "ask"
    BLOCK = "block"


def decide(rules: UseRules, consent: UseMode, name: str, *, reads: bool, is_new_or_changed: bool = False) -> Decision:
    """What becomes of a call of the tool `name`, for an API of the method.

    `off` beats everything, then comes the tool's own setting, then the mode. Under a consent to reading, a tool that
    writes can be called only where the owner set it to `ask`, since then every call is theirs to see. What is not as
    the person agreed to it is asked about.
    """
    if UseMode.OFF in {rules.mode, consent}:
        return Decision.BLOCK
    setting = rules.tools.get(name)
    if setting is None:
        setting = ToolSetting.ALLOW if reads or rules.mode is UseMode.ALL else ToolSetting.BLOCK
    if setting is ToolSetting.ALLOW and consent is UseMode.READ and not reads:
        return Decision.BLOCK
    if setting is ToolSetting.ALLOW and is_new_or_changed:
        return Decision.ASK
    return Decision(setting)


def usable_methods(rules: UseRules, consent: UseMode) -> Mapping[str, Decision]:
    """The methods of an API that may be called, at least after asking."""
    decided = {name: decide(rules, consent, name, reads=name in READING_METHODS) for name in METHODS}
    return {name: decision for name, decision in decided.items() if decision is not Decision.BLOCK}
