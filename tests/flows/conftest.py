"""A running server, and people on it."""

from tests.helpers.fixtures import ada, api, http, server

__all__ = ["ada", "api", "http", "server"]
