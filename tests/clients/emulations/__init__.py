"""The documented requests of hosted clients, replayed: those clients run on their vendors' machines only."""
