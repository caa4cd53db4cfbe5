"""`call_api`: the arguments as models write them, and the answer cut to what a model can take (contract section 8)."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import BeforeValidator, Field
from pydantic_core import from_json

from drio_mcp.connections.upstream.mcp.text import clean, mapped
from drio_mcp.connections.upstream.mcp.tools import compact
from drio_mcp.connections.use.proxy import ProviderResponse, ProxiedCall
from drio_mcp.errors import Problem, ValidationFailed
from drio_mcp.models import Model
from drio_mcp.outbound import OutboundError
from drio_mcp.outside import refuse_bulk

MAX_READ_BYTES = 10 * 1024 * 1024
MAX_SHOWN_BYTES = 100 * 1024
HEADERS_SHOWN = ("content-type", "link", "location", "etag", "last-modified", "retry-after")
"""Those that a model may need to go on; others are noise to it."""
HOW_TO_GO_ON = (
    "Call again with pick, a list of JSON pointers such as /items/0/id, or with the API's own parameters for paging"
)
SECONDS = 120.0


def _from_text(value: Any) -> Any:
    """Objects and arrays arrive as their JSON text from some models."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _query(value: Any) -> Any:
    value = _from_text(value)
    if isinstance(value, Mapping):
        pairs = [(name, each) for name, each in value.items() if each is not None]
        return urlencode([(name, _spelled(each)) for name, each in pairs for each in _all(each)])
    return value.removeprefix("?") if isinstance(value, str) else value


def _all(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _spelled(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


Upper = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)


class CallApi(Model):
    """The arguments of `call_api`."""

    connection: Annotated[str, Field(min_length=1, max_length=200)]
    method: Annotated[str, Upper, Field(pattern=r"^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$")] = "GET"
    path: Annotated[str, Field(max_length=8_192)]
    query: Annotated[str, BeforeValidator(_query), Field(max_length=16_384)] | None = None
    headers: Annotated[dict[str, str], BeforeValidator(_from_text), Field(max_length=50)] | None = None
    body: Any = None
    pick: Annotated[list[str], BeforeValidator(_from_text), Field(max_length=100)] | None = None

    def proxied(self) -> ProxiedCall:
        """The call for the proxy. Raises `ValidationFailed`."""
        path, _, inside = self.path.removeprefix("/").partition("?")
        headers = list((self.headers or {}).items())
        for name, value in headers:
            if not _is_header(name, value):
                raise ValidationFailed([Problem("headers", "must be names and values as HTTP allows them")])
        names = {name.lower() for name, _ in headers}
        if "accept" not in names:
            headers.append(("Accept", "application/json, */*;q=0.5"))
        content, media_type = _body(self.body)
        if content is not None and "content-type" not in names:
            headers.append(("Content-Type", media_type))
        query = "&".join(each for each in (inside, self.query) if each)
        return ProxiedCall(self.method, path, query, headers, None if content is None else _once(content))


def _is_header(name: str, value: str) -> bool:
    return (
        name.isascii()
        and name.replace("-", "").replace("_", "").isalnum()
        and value.isascii()
        and value.isprintable()
        and len(value) <= 8_192
    )


def _body(value: Any) -> tuple[bytes | None, str]:
    if value is None:
        return None, ""
    if not isinstance(value, str):
        return compact(value), "application/json"
    parsed = _from_text(value)
    return value.encode(), "text/plain; charset=utf-8" if isinstance(parsed, str) else "application/json"


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def read_body(passed: ProviderResponse) -> bytes:
    """The whole body. Raises `OutboundError` for one of more than 10 MiB."""
    body = bytearray()
    async for chunk in passed.chunks:
        body += chunk
        if len(body) > MAX_READ_BYTES:
            raise OutboundError("response_too_large", "The answer is larger than 10 MiB")
    return bytes(body)


async def shown_answer(passed: ProviderResponse, body: bytes, pick: list[str] | None) -> dict[str, Any]:
    """The answer as a model sees it."""
    kept = {name.lower(): value for name, value in passed.headers if name.lower() in HEADERS_SHOWN}
    headers = {name: clean(value) for name, value in kept.items()}
    return await asyncio.to_thread(_shown, passed.status, headers, body, pick)


def _shown(status: int, headers: dict[str, str], body: bytes, pick: list[str] | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"status": status, "headers": headers}
    value = _value(body)
    if isinstance(value, bytes):
        return answer | {"body": None, "cut": f"{len(value)} bytes that are neither JSON nor text are not shown"}
    if pick is not None and not isinstance(value, str):
        found = {pointer: each for pointer in pick if (each := _at(value, pointer)) is not _ABSENT}
        missing = [pointer for pointer in pick if pointer not in found]
        value = found
        if missing:
            answer["missing"] = missing
    whole = answer | {"body": value}
    size = len(compact(whole))
    if size <= MAX_SHOWN_BYTES:
        return whole
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    cut = f"The body is {size:,} bytes long; this is its beginning, as text. {HOW_TO_GO_ON}"
    return _fitting(answer, text, cut)


def _fitting(answer: dict[str, Any], text: str, cut: str) -> dict[str, Any]:
    """The answer with as much of the text as there is room for."""
    room = MAX_SHOWN_BYTES - len(compact(answer | {"body": "", "cut": cut}))
    shown = text[: max(room, 0)]
    while (excess := len(compact(shown)) - 2 - room) > 0 and shown:
        shown = shown[: -max(excess // 4, 1)]
    return answer | {"body": shown, "cut": cut}


def _value(body: bytes) -> Any:
    """JSON where it is some, else text where it is that, else the bytes."""
    if not body:
        return ""
    try:
        refuse_bulk(body)
        return mapped(from_json(body, allow_inf_nan=False), clean)
    except ValueError:
        pass
    try:
        return clean(body.decode("utf-8"))
    except UnicodeDecodeError:
        return body


_ABSENT = object()


def _at(value: Any, pointer: str) -> Any:
    """What a JSON pointer leads to (RFC 6901), also without its first slash."""
    if pointer in {"", "/"}:
        return value
    for token in pointer.removeprefix("/").split("/"):
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return _ABSENT
    return value
