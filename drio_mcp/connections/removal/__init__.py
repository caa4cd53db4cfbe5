"""Deleting a connection: undo, and revocation at the provider."""
