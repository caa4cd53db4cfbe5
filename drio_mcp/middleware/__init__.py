"""What happens to every request before its handler and to every answer after it.

Pure ASGI, and cheap: this is the hot path.
"""
