"""What a server reads from its store for an answer."""
