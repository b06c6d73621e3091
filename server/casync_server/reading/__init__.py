"""Reads a store for answers."""
