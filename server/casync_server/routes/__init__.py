"""The routes, one resource per module."""
