"""An MCP server with an embedded OAuth 2.1 authorization server for the auth connections of your apps."""

__version__ = "0.1.0"
