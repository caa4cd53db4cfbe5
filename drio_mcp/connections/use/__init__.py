"""What a connection is for: hand-out of credentials, and the proxy."""
