"""The pages for people: rendered on the server, complete without JavaScript (contract section 6)."""

from drio_mcp.pages.routes import PAGES, load_all

__all__ = ["PAGES", "load_all"]
