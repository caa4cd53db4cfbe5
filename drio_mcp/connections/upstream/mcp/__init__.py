"""Speaking to the MCP servers behind connections, in every revision of streamable HTTP, within bounds.

Messages are read as plain JSON and not by the SDK's models: what a stranger's server sends is bounded and judged piece
by piece, so that one bad definition does not take the good ones with it, and what is good passes on unchanged.
"""
