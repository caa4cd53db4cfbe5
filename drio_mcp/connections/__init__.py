"""Auth connections: what they are, where they come from, and how they are kept working."""
