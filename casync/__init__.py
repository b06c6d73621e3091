"""Replicates large, changing data and moves only the chunks that the receiver lacks."""

__version__ = "0.1.0"
