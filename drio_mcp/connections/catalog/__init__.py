"""Providers: facts as data that the engine executes."""
