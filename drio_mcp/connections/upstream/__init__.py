"""Our side of OAuth at a provider: clients, consent, tokens, renewal."""
