"""JSON merge patch of a connection's configuration (RFC 7396)."""

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.connections.record.merge_patch import merge
from drio_mcp.connections.record.schemas import SECRET_FIELDS, ConfigInput

SETTINGS = {
    "type": st.sampled_from(["oauth", "bearer"]),
    "clientId": st.text(string.ascii_letters, min_size=1, max_size=5),
    "audience": st.text(string.ascii_letters, min_size=1, max_size=5),
    "scopes": st.lists(st.text(string.ascii_letters, min_size=1, max_size=3), max_size=3, unique=True),
    "enabled": st.booleans(),
}
patches = st.fixed_dictionaries({}, optional={name: st.none() | value for name, value in SETTINGS.items()}).map(
    ConfigInput.model_validate
)
stored = st.fixed_dictionaries({}, optional=SETTINGS).map(lambda body: merge({}, ConfigInput.model_validate(body)))


class TestMergePatch:
    """RFC 7396 section 2, as laws."""

    @given(stored)
    def test_an_empty_patch_changes_nothing(self, config: dict[str, Any]) -> None:
        assert merge(config, ConfigInput()) == merge(config, None) == config

    @given(stored, patches)
    def test_a_patch_applied_twice_is_a_patch_applied_once(self, config: dict[str, Any], patch: ConfigInput) -> None:
        once = merge(config, patch)
        assert merge(once, patch) == once

    @given(stored, patches)
    def test_null_removes_a_value_sets_and_absence_keeps(self, config: dict[str, Any], patch: ConfigInput) -> None:
        after = merge(config, patch)
        assert None not in after.values()
        for name in ConfigInput.model_fields:
            if name not in patch.model_fields_set:
                assert after.get(name) == config.get(name)
            elif getattr(patch, name) is None:
                assert name not in after
            else:
                assert name in after

    @given(stored, patches, patches)
    def test_the_later_patch_wins(self, config: dict[str, Any], first: ConfigInput, second: ConfigInput) -> None:
        after = merge(merge(config, first), second)
        for name in second.model_fields_set:
            assert after.get(name) == merge({}, second).get(name)

    @given(stored, patches)
    def test_secrets_are_never_part_of_it(self, config: dict[str, Any], patch: ConfigInput) -> None:
        assert not set(merge(config, patch)) & set(SECRET_FIELDS)
