"""Header fields: found without regard to case, each as often as it came, and nothing that cannot be sent."""

import pytest

from drio_mcp.outbound.headers import Headers


def test_names_are_found_without_regard_to_case_and_sent_as_they_were_written() -> None:
    headers = Headers({"X-Api-Version": "2", "accept": "text/html"})
    assert headers["x-api-version"] == headers["X-API-VERSION"] == "2"
    assert "Accept" in headers
    assert headers.get("date") is None
    assert headers.raw == [(b"X-Api-Version", b"2"), (b"accept", b"text/html")]
    assert headers.multi_items() == [("x-api-version", "2"), ("accept", "text/html")]


def test_what_stands_there_several_times_is_a_list() -> None:
    headers = Headers([(b"WWW-Authenticate", b"Basic"), (b"Date", b"now"), (b"www-authenticate", b"Bearer a=b, c=d")])
    assert headers.get_list("WWW-Authenticate") == ["Basic", "Bearer a=b, c=d"]
    assert headers["www-authenticate"] == "Basic, Bearer a=b, c=d"
    assert headers.get_list("accept") == []
    assert list(headers) == ["www-authenticate", "date"]
    assert headers.without("www-authenticate").raw == [(b"Date", b"now")]


@pytest.mark.parametrize("value", ["é", "日"])
def test_text_beyond_ascii_is_not_sent_but_read(value: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        Headers({"x-name": value})
    assert Headers([(b"x-name", value.encode())])["x-name"] == value


def test_bytes_that_are_no_utf_8_are_latin_1() -> None:
    assert Headers([(b"x-name", b"caf\xe9")])["x-name"] == "café"
