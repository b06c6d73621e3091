"""A whole store in dictionaries: for tests, and as the smallest example of the ports."""

from casync.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
