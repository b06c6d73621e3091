"""Parses values that users type."""
