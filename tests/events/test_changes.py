"""Which events a change amounts to (contract section 9)."""

import pytest

from drio_mcp.events.changes import EventType, Snapshot, client_happenings, happenings


def at(status: str, has_worked: bool = False) -> Snapshot:
    return Snapshot(status, has_worked, {"auth": {"status": status}})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, at("draft"), [EventType.CREATED]),
        (None, at("pending"), [EventType.CREATED]),
        (None, at("valid"), [EventType.CREATED, EventType.CONNECTED]),
        (None, at("invalid"), [EventType.CREATED, EventType.INVALID]),
        (at("draft"), at("valid"), [EventType.CONNECTED]),
        (at("pending"), at("expiring"), [EventType.CONNECTED]),
        (at("needs_reauth"), at("valid"), [EventType.CONNECTED]),
        (at("needs_reauth", has_worked=True), at("valid", has_worked=True), [EventType.RECOVERED]),
        (at("degraded", has_worked=True), at("expiring", has_worked=True), [EventType.RECOVERED]),
        (at("disabled", has_worked=True), at("valid", has_worked=True), [EventType.RECOVERED]),
        (at("disabled"), at("draft"), []),
        (at("valid"), at("expiring"), []),
        (at("expiring"), at("valid"), []),
        (at("valid"), at("valid"), []),
        (at("valid"), at("needs_reauth"), [EventType.NEEDS_REAUTH]),
        (at("valid"), at("degraded"), [EventType.DEGRADED]),
        (at("degraded"), at("invalid"), [EventType.INVALID]),
        (at("invalid"), at("invalid"), []),
        (at("valid"), at("disabled"), [EventType.DISABLED]),
        (at("valid"), None, [EventType.DELETED]),
        (None, None, []),
    ],
)
def test_what_a_change_is_called(before: Snapshot | None, after: Snapshot | None, expected: list[EventType]) -> None:
    assert [each.type for each in happenings(before, after)] == expected


def test_a_deletion_tells_what_there_was() -> None:
    [told] = happenings(at("valid"), None)
    assert told.data == {"auth": {"status": "valid"}}


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        (at("valid"), at("invalid"), True),
        (None, at("invalid"), True),
        (at("invalid"), at("invalid"), False),
        (at("invalid"), at("valid"), False),
        (at("invalid"), None, False),
    ],
)
def test_a_client_begins_to_fail(before: Snapshot | None, after: Snapshot | None, is_told: bool) -> None:
    told = [each.type for each in client_happenings(before, after)]
    assert told == ([EventType.PROVIDER_CLIENT_FAILING] if is_told else [])
