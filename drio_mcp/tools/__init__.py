"""The MCP surface: `/mcp` and the tools. Nothing here decides; each tool is the mirror of a REST call."""
