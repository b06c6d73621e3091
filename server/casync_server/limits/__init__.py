"""Limits on what one client may use of a server."""
