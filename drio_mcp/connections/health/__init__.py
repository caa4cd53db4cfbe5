"""Checks, verdicts and diagnosis of a connection."""
