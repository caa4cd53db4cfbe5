"""The pages for people: rendered on the server, complete without JavaScript (contract section 6)."""

from drio_mcp.pages.routes import PAGES

__all__ = ["PAGES"]
