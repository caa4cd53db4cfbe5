"""The authorization server's rules: who asks, what a person allowed, and what is issued for it. No HTTP in here."""
