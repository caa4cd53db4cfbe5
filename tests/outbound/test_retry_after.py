"""`Retry-After`: seconds or a date, a day at most (RFC 9110 section 10.2.3)."""

from email.utils import formatdate

import pytest

from drio_mcp.outbound.retry_after import read_retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0.5", 1),
        ("99999999", 86_400),
        ("-3", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("1" * 400, None),
    ],
)
def test_retry_after_is_bounded_by_a_day(header: str | None, seconds: int | None) -> None:
    assert read_retry_after(header, 0) == seconds


def test_a_date_is_believed() -> None:
    assert read_retry_after(formatdate(1_000_090, usegmt=True), 1_000_000_000) == 90
