"""The list of pages (drio_mcp/pages/routes.py)."""

import inspect
from importlib import import_module

import pytest
from starlette.routing import Route

from drio_mcp.pages.routes import PAGES


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.path)
def test_every_page_has_the_handler_that_is_named(route: Route) -> None:
    """Handlers are named by text, which no type checker follows."""
    module, _, function = route.endpoint.__qualname__.partition(".")
    handler = getattr(import_module(f"drio_mcp.pages.{module}"), function)
    assert inspect.iscoroutinefunction(handler)
    assert list(inspect.signature(handler).parameters) == ["request"]
