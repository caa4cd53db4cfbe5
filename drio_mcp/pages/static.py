"""The style sheet, the script and the icon: served from memory under addresses that change with their content."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.errors import NotFound

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file and a short digest of it."""

    content: bytes
    media_type: str
    version: str


@cache
def assets() -> dict[str, Asset]:
    """Every static file by its name."""
    found = {}
    for file in (files("drio_mcp.pages") / "static").iterdir():
        media_type = TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()
            found[file.name] = Asset(content, media_type, hashlib.sha256(content).hexdigest()[:12])
    return found


def asset_url(name: str) -> str:
    """The address of a file; a changed file has another one, so that browsers may keep each for ever."""
    return f"/static/{name}?v={assets()[name].version}"


async def static_file(request: Request) -> Response:
    """GET /static/{name}."""
    asset = assets().get(request.path_params["name"])
    if asset is None:
        raise NotFound
    lasting = request.query_params.get("v") == asset.version
    caching = "public, max-age=31536000, immutable" if lasting else "public, max-age=300"
    return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": caching})
