import re

from drio_mcp.pages.static import assets
from tests.pages.conftest import Visitor


async def test_the_files_of_a_page_are_there_and_may_be_kept_for_ever(visitor: Visitor) -> None:
    page = await visitor.get("/")
    urls = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert len(urls) == 3
    for url in urls:
        answer = await visitor.get(url)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


async def test_under_another_version_a_file_is_not_kept_for_ever(visitor: Visitor) -> None:
    for query in ("", "?v=000000000000"):
        answer = await visitor.get(f"/static/drio.css{query}")
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert answer.headers["content-type"] == "text/css; charset=utf-8"


def test_the_style_sheet_stays_small() -> None:
    assert len(assets()["drio.css"].content) < 20 * 1024
