"""Unmodified clients against the running server, from nothing to a tool call and beyond."""
