"""Changes that clients make to a store."""
