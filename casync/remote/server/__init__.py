"""A casync server, as its clients see it."""
