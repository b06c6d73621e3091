"""The client of a casync server."""
