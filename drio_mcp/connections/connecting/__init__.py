"""From a URL or a provider to a plan, a connection and its link."""
