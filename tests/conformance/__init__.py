"""The official conformance suites against the running server."""
