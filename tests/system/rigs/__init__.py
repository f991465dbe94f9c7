"""Real backends for tests, each started in a folder of its own and gone afterwards without a trace."""
