"""Benchmarks: this server against the MCP SDK's own bundled authorization server. README.md says how to read them."""
