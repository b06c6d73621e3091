"""Upkeep of a store: collection, verification, repair."""
