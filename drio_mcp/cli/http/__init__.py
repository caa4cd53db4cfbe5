"""The HTTP server around the app: sockets, bounds on connections, one write an answer."""
