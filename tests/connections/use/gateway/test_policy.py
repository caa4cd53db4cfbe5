"""Every combination of the owner's rules and the client's consent (contract section 8, "Who may what")."""

from itertools import product

import pytest

from drio_mcp.connections.record.use_rules import ToolSetting, UseMode, UseRules
from drio_mcp.connections.use.gateway.policy import Decision, decide, usable_methods

ALLOW, ASK, BLOCK = Decision.ALLOW, Decision.ASK, Decision.BLOCK
SETTINGS = [None, *ToolSetting]


def decided(
    mode: UseMode, setting: ToolSetting | None, consent: UseMode, *, reads: bool, changed: bool = False
) -> Decision:
    rules = UseRules(mode, {} if setting is None else {"tool": setting})
    return decide(rules, consent, "tool", reads=reads, is_new_or_changed=changed)


@pytest.mark.parametrize(("setting", "reads"), list(product(SETTINGS, [True, False])))
def test_off_beats_everything(setting: ToolSetting | None, reads: bool) -> None:
    for mode, consent in product(UseMode, UseMode):
        if UseMode.OFF in {mode, consent}:
            assert decided(mode, setting, consent, reads=reads) is BLOCK


@pytest.mark.parametrize(
    ("mode", "setting", "consent", "reads", "expected"),
    [
        ("all", None, "all", False, ALLOW),
        ("all", None, "read", True, ALLOW),
        ("all", None, "read", False, BLOCK),
        ("read", None, "all", True, ALLOW),
        ("read", None, "all", False, BLOCK),
        ("read", "allow", "all", False, ALLOW),  # the tool's setting beats the mode
        ("read", "allow", "read", False, BLOCK),  # and never exceeds a consent to reading
        ("all", "allow", "read", False, BLOCK),
        ("all", "ask", "read", False, ASK),
        ("read", "ask", "read", False, ASK),
        ("read", "ask", "all", True, ASK),
        ("all", "block", "all", True, BLOCK),
    ],
)
def test_the_narrower_holds(mode: str, setting: str | None, consent: str, reads: bool, expected: Decision) -> None:
    chosen = None if setting is None else ToolSetting(setting)
    assert decided(UseMode(mode), chosen, UseMode(consent), reads=reads) is expected


def test_what_changed_is_asked_about_and_never_more_than_that() -> None:
    for mode, setting, consent, reads in product(UseMode, SETTINGS, UseMode, [True, False]):
        usual = decided(mode, setting, consent, reads=reads)
        changed = decided(mode, setting, consent, reads=reads, changed=True)
        assert changed is (ASK if usual is ALLOW else usual)


def test_methods_of_an_api() -> None:
    assert set(usable_methods(UseRules(), UseMode.READ)) == {"GET", "HEAD"}
    rules = UseRules(UseMode.READ, {"POST": ToolSetting.ASK, "GET": ToolSetting.BLOCK})
    assert usable_methods(rules, UseMode.READ) == {"HEAD": ALLOW, "POST": ASK}
